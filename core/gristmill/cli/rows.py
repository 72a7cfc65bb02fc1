"""Rows in the formats that other tools read."""

import io
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gristmill.wording.text import plain

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["chunks", "dicts", "named_apart", "write_parquet"]


def named_apart(reader: "pa.RecordBatchReader") -> "pa.RecordBatchReader":
    """The same rows under names that differ: a query may call two columns alike, as a join does.

    Example:
        >>> rows = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], names=["id", "id"])
        >>> named_apart(pa.RecordBatchReader.from_batches(rows.schema, [rows])).schema.names
        ['id', 'id_1']
    """
    import pyarrow as pa

    names: list[str] = []
    for name in reader.schema.names:
        free = (f"{name}_{number}" if number else name for number in itertools.count())
        names.append(next(one for one in free if one not in names))
    if names == reader.schema.names:
        return reader
    schema = pa.schema([field.with_name(name) for field, name in zip(reader.schema, names, strict=True)])
    batches = (pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in reader)
    return pa.RecordBatchReader.from_batches(schema, batches)


def write_parquet(batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema", output: Path) -> None:
    """Write batches to one file, one after the other."""
    import pyarrow.parquet as pq

    with pq.ParquetWriter(output, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def dicts(batch: "pa.RecordBatch") -> list[dict[str, Any]]:
    """Rows as dicts; whole numbers that no integer of 64 bits may hold, as DuckDB's sums are, are integers."""
    import pyarrow as pa

    rows: list[dict[str, Any]] = batch.to_pylist()
    whole = [field.name for field in batch.schema if pa.types.is_decimal(field.type) and field.type.scale == 0]
    for row in rows if whole else ():
        row.update({name: None if row[name] is None else int(row[name]) for name in whole})
    return rows


def chunks(batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema", *, as_csv: bool) -> Iterator[str]:
    """The text of batches: CSV with a line of names, or a JSON array with a line for each row.

    In CSV, nested values are JSON.

    Example:
        >>> rows = pa.record_batch({"id": [1, 2], "tags": [["a"], None]})
        >>> print("".join(chunks([rows], rows.schema, as_csv=False)), end="")
        [
        {"id": 1, "tags": ["a"]},
        {"id": 2, "tags": null}
        ]
    """
    if as_csv:
        yield from _csv(batches, schema)
        return
    opening = "[\n"
    for batch in batches:
        for row in dicts(batch):
            yield opening + json.dumps(plain(row), ensure_ascii=False)
            opening = ",\n"
    yield "[]\n" if opening.startswith("[") else "\n]\n"


def _csv(batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema") -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.csv as csv

    def text(batch: pa.RecordBatch, *, header: bool) -> str:
        buffer = io.BytesIO()
        csv.write_csv(batch, buffer, csv.WriteOptions(include_header=header))
        return buffer.getvalue().decode()

    nothing = pa.array([], pa.string())
    yield text(pa.RecordBatch.from_arrays([nothing] * len(schema), names=schema.names), header=True)
    for batch in batches:
        yield text(_flat(batch), header=False)


def _flat(batch: "pa.RecordBatch") -> "pa.RecordBatch":
    """The batch without types that CSV has no text for."""
    import pyarrow as pa

    kinds = pa.types
    columns = []
    for column in batch.columns:
        kind = column.type
        if kinds.is_dictionary(kind):
            columns.append(column.dictionary_decode())
        elif kinds.is_nested(kind) or kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_interval(kind):
            values = [None if v is None else json.dumps(plain(v), ensure_ascii=False) for v in column.to_pylist()]
            columns.append(pa.array(values, pa.string()))
        else:
            columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
