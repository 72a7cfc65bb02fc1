"""Rows that could not be read keep their error while they are grouped, in a column of their own."""

import json
from collections.abc import Mapping
from dataclasses import asdict

import pyarrow as pa

from gristmill.inputs.block import Block
from gristmill.spec.row_error import RowError

__all__ = ["failure_field", "with_failures", "without_failures"]


def failure_field(schema: pa.Schema) -> pa.Field:
    """The column, under a name that no column of the input has.

    Example:
        >>> failure_field(pa.schema({"id": pa.int64()})).name
        '_failure'
    """
    taken = {name.casefold() for name in schema.names}
    name = "_failure"
    while name in taken:
        name += "_"
    return pa.field(name, pa.string())


def with_failures(rows: pa.RecordBatch, errors: Mapping[int, RowError], field: pa.Field) -> pa.RecordBatch:
    """The rows with their errors beside them."""
    count = rows.num_rows
    if errors:
        texts = [json.dumps(asdict(errors[place])) if place in errors else None for place in range(count)]
        column = pa.array(texts, field.type)
    else:
        column = pa.nulls(count, field.type)
    return pa.RecordBatch.from_arrays([*rows.columns, column], schema=rows.schema.append(field))


def without_failures(block: Block) -> Block:
    """A block that was read with its errors beside it, as it was before it was grouped."""
    rows = block.rows
    width = rows.num_columns - 1
    kept = rows.select(list(range(width)))
    texts = rows.column(width)
    errors = dict(block.errors)
    if texts.null_count < len(texts):
        found = enumerate(texts.to_pylist())
        errors |= {place: RowError(**json.loads(text)) for place, text in found if text is not None}
    return Block(block.shard, block.start, kept, kept, errors)
