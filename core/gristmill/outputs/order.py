"""Commits in the order of the rows they cover."""

import json
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from gristmill.outputs.commit import Commit

__all__ = ["sort_commits"]


def sort_commits(commits: Iterable[Commit]) -> Iterator[Commit]:
    """Commits by shard and row, held compactly while being sorted."""
    schema = pa.schema(
        {
            "shard": pa.int64(), "start": pa.int64(), "rows": pa.int64(), "file": pa.string(), "bytes": pa.int64(),
            "errors": pa.int64(), "schema": pa.dictionary(pa.int32(), pa.string()), "last": pa.bool_(),
            "metrics": pa.string(), "partitions": pa.int64(), "written": pa.int64(),
        }
    )  # fmt: skip
    batches = []
    chunk: list[Sequence[object]] = []

    def flush() -> None:
        columns = list(zip(*chunk, strict=True))
        batches.append(
            pa.record_batch(
                [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema
            )
        )
        chunk.clear()

    for commit in commits:
        chunk.append((*commit[:8], json.dumps(commit.metrics) if commit.metrics else None, *commit[9:]))
        if len(chunk) >= 65_536:
            flush()
    if chunk:
        flush()
    table = pa.Table.from_batches(batches, schema).unify_dictionaries().combine_chunks()
    batches.clear()
    order = table.select(["shard", "start", "rows"]).append_column("at", pa.array(range(table.num_rows), pa.int64()))
    order = order.sort_by([("shard", "ascending"), ("start", "ascending"), ("rows", "ascending")])["at"]
    for at in range(0, table.num_rows, 65_536):
        rows = table.take(order.slice(at, 65_536))
        for row in zip(*(rows.column(i).to_pylist() for i in range(11)), strict=True):
            yield Commit._make((*row[:8], json.loads(row[8]) if row[8] else {}, *row[9:]))
