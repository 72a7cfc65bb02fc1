"""A model that gives vectors."""

import numpy as np
import pyarrow as pa

from gristmill import inference_api


class Embedder:
    """Text in, three numbers out."""

    @inference_api(inputs={"text": "string"}, outputs={"embedding": ("float", 3)})
    def encode(self, rows: pa.RecordBatch) -> np.ndarray:
        return np.array([[len(text), 1.0, 2.0] for text in rows.column("text").to_pylist()], dtype=np.float32)
