"""Writing grouped rows: Parquet files, and shards of whole partitions in them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.errors import PartitionError
from gristmill.partitions.keys import key_text
from gristmill.plan.shards import Shard, Slice
from gristmill.storage.location import join
from gristmill.storage.storage import Storage
from gristmill.wording.text import count, size

__all__ = ["GroupedFiles", "ShardBounds", "too_large"]

_GROUP_ROWS = 65_536
_GROUP_BYTES = 32 * 1024**2
_FILE_BYTES = 512 * 1024**2
_FILE_GROUPS = 1_000


@dataclass(frozen=True, slots=True)
class ShardBounds:
    """Bounds on shards; a partition that passes one is a shard of its own.

    Attributes:
        rows: rows.
        bytes: bytes in memory.
        partitions: partitions: each is a call of the function.
    """

    rows: int
    bytes: int = 64 * 1024**2
    partitions: int = 4_096


def too_large(column: str | None, key: Any, *, rows: int, size_: int, most: int) -> PartitionError:
    """The error for a partition that does not fit in memory, with the ways out."""
    which = "the input, which is one partition," if column is None else f"the partition {column}={key_text(key)}"
    way_out = "name a partition_column" if column is None else "partition by a finer column"
    has = "has at least" if column is None else "has"  # the rest of it was not read
    return PartitionError(
        f"{which} {has} {count(rows, 'row')} of {size(size_)}, more than the {size(most)} that one may take here; "
        f"{way_out}, leave out columns with a query, ask for more by job_spec.memory_requests or run fewer workers, "
        "or raise the setting max_partition_bytes"
    )


class GroupedFiles:
    """Files of rows whose partitions stand together, written in order.

    Args:
        storage: where.
        folder: of the files.
        place: of the column of keys.
        bounds: on shards.
        most_bytes: of one partition.

    Attributes:
        shards: those that are complete.
        partitions: how many there are.
    """

    def __init__(self, storage: Storage, folder: str, place: int, *, bounds: ShardBounds, most_bytes: int) -> None:
        self._storage = storage
        self._folder = folder
        self._place = place
        self._bounds = bounds
        self._most = most_bytes
        self._files = 0
        self._location = ""
        self._sink: Any = None
        self._writer: Any = None
        self._file_bytes = 0
        self._groups = 0  # row groups in the open file
        self._first = 0  # the first of them that belongs to the open shard
        self._pending: list[tuple[int, int, int]] = []  # shards of the open file: first group, last, rows
        self._held: list[pa.Table] = []
        self._held_rows = self._held_bytes = 0
        self._rows = self._bytes = self._count = 0  # of the open shard
        self.shards: list[Shard] = []
        self.partitions = 0

    def add(self, rows: pa.Table, starts: list[int]) -> None:
        """Whole partitions, the first row of each at one of `starts`, of which the first is 0.

        Raises:
            PartitionError: one is larger than a partition may be.
        """
        total = rows.num_rows
        size_ = rows.nbytes
        if size_ > self._most:
            self._check(rows, starts)
        width = size_ / max(1, total)
        begin = 0
        for start, stop in zip(starts, [*starts[1:], total], strict=True):
            length = stop - start
            if self._is_full(length, int(length * width)):
                self._hold(rows.slice(begin, start - begin))
                self._end_shard()
                begin = start
            self._rows += length
            self._bytes += int(length * width)
            self._count += 1
        self._hold(rows.slice(begin))
        self.partitions += len(starts)

    def add_one(self, pieces: Iterable[pa.RecordBatch], *, column: str) -> None:
        """One partition, piece by piece; nothing where it has no rows.

        Raises:
            PartitionError: it is larger than a partition may be.
        """
        rows = size_ = 0
        key: Any = None
        for piece in pieces:
            if not rows:
                self._end_shard()
                key = piece.column(self._place)[0].as_py()
            rows += piece.num_rows
            size_ += piece.nbytes
            if size_ <= self._most:
                self._hold(pa.Table.from_batches([piece]))
        if size_ > self._most:
            raise too_large(column, key, rows=rows, size_=size_, most=self._most)
        if rows:
            self._rows, self._bytes, self._count = rows, size_, 1
            self.partitions += 1
            if rows >= self._bounds.rows or size_ >= self._bounds.bytes:
                self._end_shard()

    def _check(self, rows: pa.Table, starts: list[int]) -> None:
        for start, stop in zip(starts, [*starts[1:], rows.num_rows], strict=True):
            found = rows.slice(start, stop - start)
            if found.nbytes > self._most:
                name, key = rows.column_names[self._place], found.column(self._place)[0].as_py()
                raise too_large(name, key, rows=found.num_rows, size_=found.nbytes, most=self._most)

    def _is_full(self, rows: int, size_: int) -> bool:
        bounds = self._bounds
        return self._count > 0 and (
            self._rows + rows > bounds.rows or self._bytes + size_ > bounds.bytes or self._count >= bounds.partitions
        )

    def _hold(self, rows: pa.Table) -> None:
        if not rows.num_rows:
            return
        self._held.append(rows)
        self._held_rows += rows.num_rows
        self._held_bytes += rows.nbytes
        if self._held_rows >= _GROUP_ROWS or self._held_bytes >= _GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._held:
            return
        table = pa.concat_tables(self._held)
        self._held, self._held_rows, self._held_bytes = [], 0, 0
        if self._writer is None:
            self._location = join(self._folder, f"part-{self._files:05d}.parquet")
            self._sink = self._storage.open(self._location, "wb")
            self._writer = pq.ParquetWriter(self._sink, table.schema, compression="lz4", use_dictionary=False)
        self._writer.write_table(table, row_group_size=table.num_rows)
        self._groups += 1
        self._file_bytes += table.nbytes

    def _end_shard(self) -> None:
        if not self._count:
            return
        self._flush()
        self._pending.append((self._first, self._groups, self._rows))
        self._first = self._groups
        self._rows = self._bytes = self._count = 0
        if self._file_bytes >= _FILE_BYTES or self._groups >= _FILE_GROUPS:
            self._end_file()

    def _end_file(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        self._sink.close()
        info = self._storage.info(self._location)
        for first, last, rows in self._pending:
            where = Slice(info.location, info.size, info.version, (first, last), 0, rows)
            self.shards.append(Shard(len(self.shards), (where,)))
        self._writer = self._sink = None
        self._pending, self._files = [], self._files + 1
        self._groups = self._first = self._file_bytes = 0

    def close(self) -> None:
        """End the last shard and file."""
        self._end_shard()
        self._end_file()

    def discard(self) -> None:
        """Close what is open; the folder is to go."""
        if self._sink is not None:
            self._sink.close()
