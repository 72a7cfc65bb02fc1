"""Ray Data: Parquet in and out, `map_batches` on a pool of two actors that leave a core to its readers and writers."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.workloads.service import ServiceWorkload
from benchmarks.workloads.workload import BUCKET, Dataset, FileWorkload, Workload, read_file

__all__ = ["run"]


class Answer:
    """One actor's connections; a batch is sent at once, and several batches beside each other."""

    def __init__(self, workload: ServiceWorkload) -> None:
        from benchmarks.contestants.raw_chats import Chats

        self._workload, self._chats, self._kind = workload, None, Chats

    async def __call__(self, table: Any) -> Any:
        """The table with its answers."""
        import pyarrow as pa

        if self._chats is None:
            self._chats = self._kind(self._workload)
        answers = await self._chats.all(table["messages"].to_pylist())
        yield table.append_column("response", pa.array(answers))


class Predict:
    """One actor's model."""

    def __init__(self, workload: Workload) -> None:
        self._predict = _for_files(workload) if isinstance(workload, FileWorkload) else _for_tables(workload)

    def __call__(self, table: Any) -> Any:
        """The table with its predictions."""
        import pyarrow as pa

        return table.append_column("prediction", pa.array(self._predict(table)))


def run(workload: Workload, dataset: Dataset, output: Path) -> None:
    """Read, predict, write; Ray is started and stopped."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # two actors on two cores
    import ray
    import ray.data

    ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    data = ray.data.read_parquet(str(dataset.inputs))
    chats = isinstance(workload, ServiceWorkload)
    data = data.map_batches(
        Answer if chats else Predict,
        fn_constructor_args=(workload,),
        batch_format="pyarrow",
        batch_size=64 if chats else workload.batch_rows,
        compute=ray.data.ActorPoolStrategy(size=1 if chats else 2),
        num_cpus=0.5,
        udf_modifying_row_count=False,
    )
    data.write_parquet(str(output))
    ray.shutdown()


def _for_tables(workload: Any) -> Callable[[Any], Any]:
    import numpy as np

    model = workload.load()

    def predict(table: Any) -> Any:
        matrix = np.empty((len(workload.features), table.num_rows))
        for row, name in zip(matrix, workload.features, strict=True):
            row[:] = table[name].to_numpy()
        return model.predict(matrix.T)

    return predict


def _for_files(workload: FileWorkload) -> Callable[[Any], Any]:
    from concurrent.futures import ThreadPoolExecutor

    function = workload.predict()
    read = read_file if workload.location is None else _object_reader()
    pool = ThreadPoolExecutor(4 if workload.location is None else 32)
    return lambda table: function(list(pool.map(read, table["image"].to_pylist())))


def _object_reader() -> Callable[[str], Any]:
    from obstore.store import S3Store

    store = S3Store(BUCKET, client_options={"allow_http": True})
    return lambda url: store.get(url.removeprefix(f"s3://{BUCKET}/")).bytes()
