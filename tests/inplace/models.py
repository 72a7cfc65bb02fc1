"""Models of the tests: found by reference, `python:tests.inplace.models:Shop`."""

import threading
import time

import pandas as pd
import pyarrow as pa

from gristmill import inference_api, partitioned_api


class Shop:
    """Prices and names; counts how often it was built, and how many threads were in it at once."""

    built = 0

    def __init__(self) -> None:
        type(self).built += 1
        self.inside = self.most = 0
        self.lock = threading.Lock()

    @inference_api(inputs={"price": "double", "name": "string"}, outputs={"gross": "double", "label": "string"})
    def predict(self, rows: pa.RecordBatch, *, rate: float = 0.25, tags: list[str] = ["x"]) -> pa.RecordBatch:  # noqa: B006
        prices = rows.column("price").to_pylist()
        if any(price is not None and price < 0 for price in prices):
            raise ValueError("a price below zero")
        tag = ",".join(tags)
        names = [f"{name}/{tag}" for name in rows.column("name").to_pylist()]
        gross = [None if price is None else price * (1 + rate) for price in prices]
        return pa.record_batch({"gross": pa.array(gross, pa.float64()), "label": names})

    @inference_api(inputs={"price": "double"}, outputs={"half": "double"})
    def halve(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        time.sleep(0.001)
        with self.lock:
            self.inside -= 1
        import pyarrow.compute as pc

        return pa.record_batch({"half": pc.divide(rows.column("price"), 2.0)})

    @inference_api
    def undeclared(self, df: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"first": df.iloc[:, 0]})

    @partitioned_api(inputs={"price": "double"}, outputs={"total": "double"})
    def total(self, df: pd.DataFrame) -> dict[str, list[float]]:
        if (df["price"] < 0).any():
            raise ValueError("a price below zero")
        return {"total": [df["price"].sum()]}

    @inference_api(inputs={"price": "double"}, outputs={"share": "double"}, function_type="table_function")
    def share(self, df: pd.DataFrame) -> pd.Series:
        return df["price"] / df["price"].sum()


class Sizes:
    """Bytes in, their number out."""

    @inference_api(inputs={"image": "bytes"}, outputs={"size": "int64"})
    def predict(self, rows: pa.RecordBatch) -> list[int]:
        return [len(content) for content in rows.column("image").to_pylist()]


class Tidy:
    """Text in, text of the same name out."""

    @inference_api(inputs={"text": "string"}, outputs={"text": "string"})
    def predict(self, rows: pa.RecordBatch) -> list[str]:
        return [text.strip() for text in rows.column("text").to_pylist()]
