"""Grouping: the rows of an input, sorted by key on storage, as shards of whole partitions."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from gristmill.inputs.block import Block
from gristmill.partitions.failures import failure_field, with_failures
from gristmill.partitions.grouped import GroupedFiles, ShardBounds
from gristmill.partitions.keys import changes, comparable, sorted_order
from gristmill.partitions.ranges import cuts_of
from gristmill.partitions.runs import Runs
from gristmill.plan.shards import Shard
from gristmill.storage.location import join
from gristmill.storage.storage import Storage

__all__ = ["Grouped", "group"]

_RANGE_ROWS = 1024**2


@dataclass(frozen=True, slots=True)
class Grouped:
    """Rows whose partitions stand together.

    Attributes:
        shards: whole partitions each, in the order of their keys; the rows of a partition are in the input's order.
        partitions: how many partitions.
        rows: how many rows.
    """

    shards: list[Shard]
    partitions: int
    rows: int


def group(
    blocks: Iterable[Block],
    storage: Storage,
    folder: str,
    *,
    schema: pa.Schema,
    column: str,
    bounds: Callable[[int], ShardBounds],
    most_bytes: int,
    run_bytes: int,
    check: Callable[[], None] = lambda: None,
) -> Grouped:
    """Group rows by a column, with a few times `run_bytes` of them in memory.

    The rows are sorted in runs of `run_bytes`, which go to storage unless there is only one. Then, range by range of
    their keys, those of all runs are read, sorted together and written. A key that has more rows than fit is a range
    of its own, and needs no sorting.

    Args:
        blocks: the rows, in the order of the input.
        storage: where.
        folder: for what is written; this alone is in it.
        schema: the input's columns.
        column: the one that tells partitions apart.
        bounds: the bounds on shards, for so many rows in all.
        most_bytes: of one partition.
        run_bytes: of what is sorted at once.
        check: called again and again; it may raise, to stop.

    Raises:
        PartitionError: a partition is larger than `most_bytes`.
        OSError: storage fails.
    """
    place = schema.get_field_index(column)
    field = failure_field(schema)
    runs = Runs(storage, join(folder, "runs"), place, run_bytes=run_bytes)
    files: GroupedFiles | None = None
    try:
        for block in blocks:
            check()
            if block.rows.num_rows:
                runs.add(with_failures(block.rows, block.errors, field))
        runs.end()
        files = GroupedFiles(storage, folder, place, bounds=bounds(runs.count), most_bytes=most_bytes)
        _write(runs, files, column, run_bytes=run_bytes, check=check)
        files.close()
    except BaseException:
        if files is not None:
            files.discard()
        raise
    finally:
        runs.close()
    return Grouped(files.shards, files.partitions, runs.count)


def _write(runs: Runs, files: GroupedFiles, column: str, *, run_bytes: int, check: Callable[[], None]) -> None:
    def checked(pieces: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for piece in pieces:
            check()
            yield piece

    cuts = cuts_of(runs.runs, range_bytes=run_bytes, range_rows=_RANGE_ROWS)
    for cut, is_one in [*cuts, (None, False)]:
        pieces = checked(runs.until(cut))
        if is_one:
            files.add_one(pieces, column=column)
            continue
        found = list(pieces)
        if not found:
            continue
        rows = pa.Table.from_batches(found).combine_chunks()
        del found
        keys = comparable(rows.column(column).combine_chunks())
        if len(runs.runs) > 1:
            order = sorted_order(keys)
            rows, keys = rows.take(order), keys.take(order)
        files.add(rows, [0, *changes(keys)])
    files.add_one(checked(runs.nan()), column=column)
    files.add_one(checked(runs.null()), column=column)
