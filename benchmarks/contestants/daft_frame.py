"""Daft on its native runner: a class that holds the model, called with batches; its own reader and writer."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.workloads.media import SIDE
from benchmarks.workloads.service import ServiceWorkload
from benchmarks.workloads.workload import Dataset, FileWorkload, Workload, read_file

__all__ = ["run"]


def run(workload: Workload, dataset: Dataset, output: Path) -> None:
    """Read, predict, write."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # Daft's own threads use the cores
    import daft

    frame = daft.read_parquet(f"{dataset.inputs}/*.parquet")
    if isinstance(workload, ServiceWorkload):
        frame = _chats(workload, frame)
    else:
        frame = _files(workload, frame) if isinstance(workload, FileWorkload) else _tables(workload, frame)
    frame.write_parquet(str(output))


def _chats(workload: ServiceWorkload, frame: Any) -> Any:
    """A class with an asynchronous method: its own `prompt` takes four times as long."""
    import daft

    from benchmarks.contestants.raw_chats import Chats

    @daft.cls(use_process=False)
    class Answer:
        """The service."""

        def __init__(self) -> None:
            self.chats: Any = None

        @daft.method(return_dtype=daft.DataType.string())
        async def chat(self, text: str) -> str:
            """The answer."""
            if self.chats is None:
                self.chats = Chats(workload)
            return str(await self.chats.chat(text))

    return frame.with_column("response", Answer().chat(daft.col("messages")))


def _tables(workload: Any, frame: Any) -> Any:
    import daft
    import numpy as np

    @daft.cls(use_process=False)  # `max_concurrency` would start processes, and be slower
    class Predict:
        """The estimator."""

        def __init__(self) -> None:
            self.model = workload.load()

        @daft.method.batch(return_dtype=daft.DataType.int64())
        def predict(self, *columns: daft.Series) -> Any:
            """Predict."""
            matrix = np.empty((len(columns), len(columns[0])))
            for row, column in zip(matrix, columns, strict=True):
                row[:] = column.to_arrow().to_numpy(zero_copy_only=False)
            return daft.Series.from_numpy(self.model.predict(matrix.T))

    return frame.with_column("prediction", Predict().predict(*(daft.col(name) for name in workload.features)))


def _files(workload: FileWorkload, frame: Any) -> Any:
    """Predict from files: locally a plain read beats `download`; for objects Daft's decoder beats PIL."""
    import daft
    import pyarrow as pa
    from daft.functions import decode_image, download

    column, load = daft.col("image"), _of_paths
    if workload.location is not None:
        load = _of_pixels
        column = decode_image(download(column, max_connections=64, io_config=_io_config()), mode="L")
        column = column.cast(daft.DataType.image("L", SIDE, SIDE))
    text = workload.name == "large"

    @daft.cls(use_process=False)
    class Predict:
        """The function of contents."""

        def __init__(self) -> None:
            self.function = load(workload)

        @daft.method.batch(
            return_dtype=daft.DataType.string() if text else daft.DataType.int64(),
            batch_size=1 if text else workload.batch_rows,
        )
        def predict(self, contents: daft.Series) -> Any:
            """Predict."""
            return daft.Series.from_arrow(pa.array(self.function(contents)))  # a list takes Daft far longer

    return frame.with_column("prediction", Predict().predict(column))


def _of_paths(workload: FileWorkload) -> Callable[[Any], Any]:
    predict = workload.predict()
    return lambda paths: predict([read_file(path) for path in paths.to_pylist()])


def _of_pixels(workload: Any) -> Callable[[Any], Any]:
    classifier = workload.load()

    def predict(images: Any) -> Any:
        storage = images.to_arrow()
        pixels = getattr(storage, "storage", storage).flatten().to_numpy(zero_copy_only=False)
        return classifier.predict(pixels.reshape(-1, SIDE * SIDE).astype("float32"))

    return predict


def _io_config() -> Any:
    from daft.io import IOConfig, S3Config

    return IOConfig(
        s3=S3Config(
            endpoint_url=os.environ.get("AWS_ENDPOINT_URL"),
            region_name=os.environ.get("AWS_REGION"),
            key_id=os.environ.get("AWS_ACCESS_KEY_ID"),
            access_key=os.environ.get("AWS_SECRET_ACCESS_KEY"),
            max_connections=64,
            use_ssl=False,
        )
    )
