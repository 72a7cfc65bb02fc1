"""Running a sentence-transformers model: one column of texts in, one of embeddings out."""

from typing import Any

import pyarrow as pa

from gristmill.engines.protocol import BatchModel, LoadContext
from gristmill.engines.result import output_name, to_output
from gristmill.errors import SchemaError
from gristmill.models.columns import match_columns
from gristmill.models.signature import Feature, Signature
from gristmill.models.types import stored_type

__all__ = ["ENCODE", "SentenceModel"]

ENCODE = Signature(outputs=(Feature(output_name(0), pa.list_(pa.float32())),))
"""What `encode` returns: an embedding for each text, of 32-bit numbers."""

_BATCH = 32


class SentenceModel(BatchModel):
    """A sentence-transformers model as a batch model.

    Args:
        model: a `SentenceTransformer`.
        context: the columns, the params (those that are None are left to the model), the options: `column` names the
            column to run on, `batch_size` the rows of one forward pass.

    Raises:
        SchemaError: it cannot be told which column is meant.
    """

    def __init__(self, model: Any, context: LoadContext) -> None:
        import torch

        torch.set_num_threads(context.threads)
        self._model = model.to("cuda:0" if context.gpus > 0 else "cpu")
        self._place = _text_column(context)
        self._arguments = {name: value for name, value in context.params.items() if value is not None}
        self._arguments["batch_size"] = int(context.options.get("batch_size") or _BATCH)

    def infer(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The embeddings, as the column `output_feature_0`."""
        texts = batch.column(self._place).to_pylist()
        for text in texts:
            if not isinstance(text, str):
                raise ValueError(f"the cell holds {'null' if text is None else type(text).__name__}, not text")  # noqa: TRY004
        if not texts:
            return to_output({output_name(0): []}, 0, ENCODE.outputs)
        found = self._model.encode(texts, show_progress_bar=False, convert_to_numpy=True, **self._arguments)
        return to_output(found, batch.num_rows, ENCODE.outputs)

    def close(self) -> None:
        """Let go of the weights."""
        self._model = None


def _text_column(context: LoadContext) -> int:
    schema = context.input_schema
    named = context.options.get("column")
    if named is not None:
        return match_columns([str(named)], schema)[0]
    kinds = [stored_type(field.type) for field in schema]
    fitting = [place for place, kind in enumerate(kinds) if pa.types.is_string(kind) or pa.types.is_large_string(kind)]
    if len(fitting) == 1:
        return fitting[0]
    found = ", ".join(schema.names[place] for place in fitting) or "none"
    raise SchemaError(
        f"the model takes one column of text, and the input has {len(fitting)} that could be it ({found}): "
        "name it in inference_engine_options, {'column': ...}"
    )
