"""Parquet footers, read many at a time."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from gristmill.inputs.opening import open_location
from gristmill.inputs.parquet_footer import open_parquet
from gristmill.storage.storage import FileInfo, Storage

__all__ = ["Groups", "read_footers"]

Groups = list[tuple[int, int]]
"""Rows and bytes, as they are encoded, of each row group of a file."""

_THREADS = 32
_AHEAD = 128


def _footer(storage: Storage, info: FileInfo) -> Groups:
    file = open_location(storage, info.location, in_ranges=True)
    try:
        metadata = open_parquet(file).metadata
    finally:
        file.close()
    groups = (metadata.row_group(group) for group in range(metadata.num_row_groups))
    return [(group.num_rows, group.total_byte_size) for group in groups]


def read_footers(storage: Storage, files: Iterable[FileInfo]) -> Iterator[Groups]:
    """The row groups of each file, in the order of the files.

    Raises:
        OSError: a file cannot be read, or is not Parquet; it is named.
    """
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="gristmill-plan") as pool:
        waiting: deque[Future[Groups]] = deque()
        try:
            for info in files:
                waiting.append(pool.submit(_footer, storage, info))
                if len(waiting) >= _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
