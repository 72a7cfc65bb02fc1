"""The plan file: a job's shards as Parquet, one row for each slice."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.json import ParseOptions, read_json

from gristmill.errors import GristmillError
from gristmill.inputs.opening import named, open_location
from gristmill.plan.shards import Shard, Slice
from gristmill.storage.location import is_local
from gristmill.storage.storage import Storage

__all__ = ["PlanSummary", "read_plan", "read_summary", "write_plan"]

_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.int64(), nullable=False),
        pa.field("location", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
        pa.field("first_group", pa.int32()),
        pa.field("last_group", pa.int32()),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("rows", pa.int64()),
    ]
)
_ROW_GROUP = 16_384
_SUMMARY = b"gristmill.plan"
_AS_PLANNED = ParseOptions(explicit_schema=pa.schema([(field.name, field.type) for field in _SCHEMA]))
_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """A plan in numbers.

    Attributes:
        shards: how many.
        rows: rows of all shards; None where some shard's are not known before it is read.
        bytes: bytes of the files, each counted once.
        files: files with planned rows.
    """

    shards: int
    rows: int | None
    bytes: int
    files: int


def write_plan(storage: Storage, location: str, shards: Iterator[Shard]) -> PlanSummary:
    """Write the shards, which come in order of their index from 0, and hold no more than a few of them in memory.

    On a local disk the file is there once it is whole.

    Raises:
        ValueError: a shard has no slices, or they are out of order.
    """
    target = f"{location}.partial" if is_local(location) else location
    summary = PlanSummary(0, 0, 0, 0)
    with storage.open(target, "wb") as sink, pq.ParquetWriter(sink, _SCHEMA, compression="zstd") as writer:
        waiting: list[tuple[Any, ...]] = []
        last = ""
        for shard in shards:
            if shard.index != summary.shards or not shard.slices:
                raise ValueError(f"shard {shard.index} with {len(shard.slices)} slices follows {summary.shards} shards")
            size, files = summary.bytes, summary.files
            for part in shard.slices:
                if part.location != last:
                    last, size, files = part.location, size + part.size, files + 1
                first, end = part.groups if part.groups is not None else (None, None)
                waiting.append((shard.index, part.location, part.size, part.version, first, end, part.start, part.rows))
            rows = None if summary.rows is None or shard.rows is None else summary.rows + shard.rows
            summary = PlanSummary(summary.shards + 1, rows, size, files)
            if len(waiting) >= _ROW_GROUP:
                writer.write_table(_table(waiting))
                waiting.clear()
        writer.write_table(_table(waiting))
        writer.add_key_value_metadata({_SUMMARY: json.dumps(asdict(summary)).encode()})
    if target != location:
        storage.move(target, location)
    return summary


def _table(rows: list[tuple[Any, ...]]) -> pa.Table:
    """Rows as a table, by way of JSON: `pa.array` would import pandas where it is there, which small jobs notice."""
    if not rows:
        return pa.Table.from_batches([], _SCHEMA)
    text = "\n".join(_encode(dict(zip(_SCHEMA.names, row, strict=True))) for row in rows).encode()
    return read_json(pa.BufferReader(text), parse_options=_AS_PLANNED).cast(_SCHEMA)


def read_plan(storage: Storage, location: str, *, start: int = 0) -> Iterator[Shard]:
    """The shards from index `start` on, a few in memory at a time.

    Raises:
        FileNotFoundError: there is no plan.
        OSError: it cannot be read.
    """
    file = open_location(storage, location, in_ranges=True)
    try:
        with named(location):
            parquet = pq.ParquetFile(file.file)
            groups = [group for group in range(parquet.num_row_groups) if _last_shard(parquet, group) >= start]
            index, slices = -1, list[Slice]()
            for group in groups:
                rows = parquet.read_row_group(group).to_pydict()
                for shard, where, size, version, first, last, skip, count in zip(*rows.values(), strict=True):
                    if shard != index:
                        if slices:
                            yield Shard(index, tuple(slices))
                        index, slices = shard, []
                    if shard >= start:
                        span = None if first is None else (first, last)
                        slices.append(Slice(where, size, version, span, skip, count))
            if slices:
                yield Shard(index, tuple(slices))
    finally:
        file.close()


def _last_shard(parquet: Any, group: int) -> int:
    metadata = parquet.metadata.row_group(group)
    return int(metadata.column(0).statistics.max) if metadata.num_rows else -1


def read_summary(storage: Storage, location: str) -> PlanSummary:
    """What `write_plan` returned.

    Raises:
        FileNotFoundError: there is no plan.
        GristmillError: the file is not a plan.
    """
    file = open_location(storage, location, in_ranges=True)
    try:
        with named(location):
            found = (pq.ParquetFile(file.file).metadata.metadata or {}).get(_SUMMARY)
    finally:
        file.close()
    if found is None:
        raise GristmillError(f"{location} is not a plan")
    return PlanSummary(**json.loads(found))
