"""The planner: files become shards, without reading a row."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from gristmill.inputs.files import FilesSource
from gristmill.plan.footers import Groups, read_footers
from gristmill.plan.policy import ShardPolicy
from gristmill.plan.shards import Shard, Slice
from gristmill.storage.storage import FileInfo, Storage

__all__ = ["as_one", "plan_shards"]

_ALL_FOOTERS = 1_000
"""So many Parquet files, or fewer, are all looked into; of more only the large ones."""

_CUT_BYTES = 4
"""A row group is cut for its bytes when it has more than so many times the bound: the rows of a cut group are decoded
from its beginning each time, so a cut costs reading."""

_Unit = tuple[Slice, int]
"""A slice that goes into one shard as a whole, and its bytes."""


@dataclass(frozen=True, slots=True)
class _Limits:
    """What one shard may hold."""

    rows: int
    bytes: int
    files: int


def plan_shards(storage: Storage, source: FilesSource, policy: ShardPolicy) -> Iterator[Shard]:
    """The source's rows as shards, in order; none for files that are known to hold no rows.

    Parquet files are cut by row groups, and row groups by rows where they are too long. Of more than 1,000 files those
    within `policy.max_bytes` are packed together unopened; so are files of other formats, which are never cut.

    Raises:
        OSError: a file's footer cannot be read; the file is named.
    """
    if source.format == "parquet" and len(source.files) <= _ALL_FOOTERS:
        footers = list(read_footers(storage, source.files))
        total = sum(rows for groups in footers for rows, _ in groups)
        limits = _Limits(policy.target_rows(total), policy.max_bytes, policy.max_files)
        units = _all_known(source.files, footers, limits)
    else:
        # Row counts are not known, so that files and bytes have to see to enough shards for the workers
        shards = 4 * max(1, policy.parallelism)
        size = sum(info.size for info in source.files)
        limits = _Limits(
            policy.max_rows,
            max(1, min(policy.max_bytes, -(-size // shards))),
            max(1, min(policy.max_files, -(-len(source.files) // shards))),
        )
        units = _mostly_unopened(storage, source, policy)
    for index, slices in enumerate(_packed(units, limits)):
        yield Shard(index, slices)


def as_one(shards: Iterable[Shard]) -> Iterator[Shard]:
    """All rows as one shard, in order; none where there are no rows."""
    slices = tuple(part for shard in shards for part in shard.slices)
    if slices:
        yield Shard(0, slices)


def _all_known(files: Iterable[FileInfo], footers: Iterable[Groups], limits: _Limits) -> Iterator[_Unit]:
    for info, groups in zip(files, footers, strict=True):
        yield from _units(info, groups, limits.rows, limits.bytes)


def _mostly_unopened(storage: Storage, source: FilesSource, policy: ShardPolicy) -> Iterator[_Unit]:
    if source.format == "parquet":
        large = read_footers(storage, (info for info in source.files if info.size > policy.max_bytes))
        for info in source.files:
            if info.size > policy.max_bytes:
                yield from _units(info, next(large), policy.max_rows, policy.max_bytes)
            else:
                yield Slice(info.location, info.size, info.version), info.size
        return
    for info in source.files:
        if info.size:
            yield Slice(info.location, info.size, info.version), info.size


def _units(info: FileInfo, groups: Groups, max_rows: int, max_bytes: int) -> Iterator[_Unit]:
    """The row groups of a file, the long ones cut into even parts."""
    for group, (rows, size) in enumerate(groups):
        if not rows:
            continue
        parts = -(-rows // max_rows)
        if size > _CUT_BYTES * max_bytes:
            parts = min(rows, max(parts, -(-size // (_CUT_BYTES * max_bytes))))
        for part in range(parts):
            start, stop = rows * part // parts, rows * (part + 1) // parts
            yield (
                Slice(info.location, info.size, info.version, (group, group + 1), start, stop - start),
                size * (stop - start) // rows,
            )


def _packed(units: Iterator[_Unit], limits: _Limits) -> Iterator[tuple[Slice, ...]]:
    """Neighbours together in shards, as many as the limits allow."""
    slices: list[Slice] = []
    rows = size = 0
    for unit, bytes_ in units:
        unit_rows = unit.rows or 0
        # A shard either knows its rows or does not: a reader can then tell where each of its files begins
        is_full = slices and (
            rows + unit_rows > limits.rows
            or size + bytes_ > limits.bytes
            or (len(slices) >= limits.files and not _follows(slices[-1], unit))
            or (slices[-1].rows is None) != (unit.rows is None)
        )
        if is_full:
            yield tuple(slices)
            slices, rows, size = [], 0, 0
        rows += unit_rows
        size += bytes_
        if slices and _follows(slices[-1], unit):
            slices[-1] = _merged(slices[-1], unit)
        else:
            slices.append(unit)
    if slices:
        yield tuple(slices)


def _follows(last: Slice, unit: Slice) -> bool:
    """Whether a slice goes on where another one, of whole row groups, ends."""
    if last.groups is None or unit.groups is None or last.location != unit.location:
        return False
    return last.groups[1] == unit.groups[0] and unit.start == 0


def _merged(last: Slice, unit: Slice) -> Slice:
    if last.groups is None or unit.groups is None:
        raise AssertionError("slices without row groups are never merged")
    return replace(last, groups=(last.groups[0], unit.groups[1]), rows=(last.rows or 0) + (unit.rows or 0))
