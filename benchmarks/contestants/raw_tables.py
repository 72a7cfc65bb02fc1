"""Tables by hand: one thread reads ahead, one predicts, one writes; no dictionaries for doubles, one buffer."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.workloads.workload import TableWorkload

__all__ = ["worker"]


def worker(workload: TableWorkload) -> Callable[[Sequence[tuple[Path, int]], Path], None]:
    """What a process does with its row groups."""
    model = workload.load()

    def work(groups: Sequence[tuple[Path, int]], target: Path) -> None:
        if not groups:
            return
        read: queue.Queue[Any] = queue.Queue(2)
        done: queue.Queue[Any] = queue.Queue(2)
        reader = threading.Thread(target=_fill, args=(_tables(groups), read))
        writer = threading.Thread(target=_drain, args=(done, target))
        reader.start()
        writer.start()
        buffer = np.empty((len(workload.features), workload.batch_rows))
        while (table := read.get()) is not None:
            predictions = np.empty(table.num_rows, np.int64)
            columns = [table[name].to_numpy() for name in workload.features]
            for start in range(0, table.num_rows, workload.batch_rows):
                stop = min(start + workload.batch_rows, table.num_rows)
                for row, column in zip(buffer, columns, strict=True):
                    row[: stop - start] = column[start:stop]
                predictions[start:stop] = model.predict(buffer[:, : stop - start].T)
            done.put(table.append_column("prediction", pa.array(predictions)))
        done.put(None)
        reader.join()
        writer.join()

    return work


def _tables(groups: Sequence[tuple[Path, int]]) -> Iterator[pa.Table]:
    path, file = None, None
    for where, number in groups:
        if where != path:
            path, file = where, pq.ParquetFile(where, memory_map=True)
        yield file.read_row_group(number, use_threads=False)


def _fill(tables: Iterator[pa.Table], read: "queue.Queue[Any]") -> None:
    for table in tables:
        read.put(table)
    read.put(None)


def _drain(done: "queue.Queue[Any]", target: Path) -> None:
    writer = None
    while (table := done.get()) is not None:
        writer = writer or pq.ParquetWriter(target, table.schema, use_dictionary=False)
        writer.write_table(table, row_group_size=table.num_rows)
    if writer:
        writer.close()
