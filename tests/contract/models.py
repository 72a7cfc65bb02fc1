"""Models of the contract suite."""

import io

import pandas as pd
import pyarrow as pa

from gristmill import CustomModel, inference_api


class Sizes(CustomModel):
    """Bytes in, their number out; a content that begins with `bad` cannot be handled."""

    @inference_api
    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        for content in frame["image"]:
            if content.startswith(b"bad"):
                raise ValueError("not an image")
        return pd.DataFrame({"size": [len(content) for content in frame["image"]]})


class Pictures(CustomModel):
    """PNG bytes in, width out; a corrupt file raises what Pillow raises."""

    @inference_api(outputs={"width": "int64"})
    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        from PIL import Image

        return pd.DataFrame({"width": [Image.open(io.BytesIO(data)).convert("L").width for data in frame["image"]]})


class Moody(CustomModel):
    """Numbers in, numbers out, except that now and then it says so in words."""

    @inference_api
    def predict(self, frame: pd.DataFrame, *, factor: float = 2.0) -> pd.DataFrame:
        return pd.DataFrame({"y": [value * factor if value % 10 else "ten" for value in frame["id"]]}, dtype=object)


class Doubler(CustomModel):
    """Arrow in, Arrow out; two functions."""

    @inference_api(inputs={"x": "double"}, outputs={"doubled": "double"})
    def double(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        import pyarrow.compute as pc

        return pa.record_batch({"doubled": pc.multiply(rows.column("x"), 2.0)})

    @inference_api(inputs={"x": "double"}, outputs={"half": "double"})
    def halve(self, rows: pa.RecordBatch, *, times: int = 1) -> pa.RecordBatch:
        import pyarrow.compute as pc

        return pa.record_batch({"half": pc.divide(rows.column("x"), 2.0**times)})
