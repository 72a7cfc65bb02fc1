"""Files by hand: local ones inline, big ones into one buffer; objects 64 in flight with obstore."""

import asyncio
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.workloads.workload import BUCKET, FileWorkload, read_file

__all__ = ["worker"]

SMALL = 1 << 16
IN_FLIGHT = 64


def worker(workload: FileWorkload) -> Callable[[Sequence[tuple[Path, int]], Path], None]:
    """What a process does with its row groups of the listing."""
    predict = workload.predict()
    read = _local_reader(workload) if workload.location is None else _objects

    def work(groups: Sequence[tuple[Path, int]], target: Path) -> None:
        if not groups:
            return
        listing = pa.concat_tables(pq.ParquetFile(path).read_row_group(number) for path, number in groups)
        predictions: list[Any] = []
        for contents in read(listing["image"].to_pylist(), workload.batch_rows):
            predictions.extend(predict(contents))
        pq.write_table(listing.append_column("prediction", pa.array(predictions)), target)

    return work


def _local_reader(workload: FileWorkload) -> Callable[[list[str], int], Iterator[list[Any]]]:
    first = workload.files / workload.file_name(0)
    return _small_files if first.stat().st_size <= SMALL else _big_files


def _small_files(paths: list[str], batch: int) -> Iterator[list[bytes]]:
    for start in range(0, len(paths), batch):
        yield [read_file(path) for path in paths[start : start + batch]]


def _big_files(paths: list[str], batch: int) -> Iterator[list[memoryview]]:
    """Contents one at a time in one buffer, which stays in the core's cache; reading ahead was slower."""
    del batch
    buffer = bytearray()
    for path in paths:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - unbuffered
            size = os.fstat(file.fileno()).st_size
            if len(buffer) < size:
                buffer = bytearray(size)
            file.readinto(buffer)
        yield [memoryview(buffer)[:size]]


def _objects(urls: list[str], batch: int) -> Iterator[list[Any]]:
    """Objects with 64 requests in flight, in order, fetched by a thread of their own."""
    full: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=lambda: asyncio.run(_fetch(urls, batch, full)), daemon=True).start()
    while (contents := full.get()) is not None:
        yield contents


async def _fetch(urls: list[str], batch: int, full: "queue.Queue[Any]") -> None:
    from obstore.store import S3Store

    # Endpoint and credentials come from the environment, as everybody's do.
    store = S3Store(BUCKET, client_options={"allow_http": True})
    keys = [url.removeprefix(f"s3://{BUCKET}/") for url in urls]
    contents: list[Any] = [None] * len(keys)
    waiting = iter(range(len(keys)))
    left = [min(batch, len(keys) - start) for start in range(0, len(keys), batch)]
    batches_done = 0

    async def fetch() -> None:
        nonlocal batches_done
        for index in waiting:
            result = await store.get_async(keys[index])
            contents[index] = await result.bytes_async()
            left[index // batch] -= 1
            while batches_done < len(left) and not left[batches_done]:
                full.put(contents[batches_done * batch : (batches_done + 1) * batch])
                batches_done += 1

    await asyncio.gather(*(fetch() for _ in range(IN_FLIGHT)))
    full.put(None)
