"""Text that is none: Arrow hands on the bytes in a text column of Parquet without looking at them."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from gristmill.inputs.pieces import Piece
from gristmill.spec.row_error import RowError

__all__ = ["checked_text"]


def checked_text(rows: pa.RecordBatch, location: str) -> Piece:
    """The rows, null where a text is not UTF-8, which is that row's error.

    Text columns are looked into, not texts within nested columns.
    """
    errors: dict[int, RowError] = {}
    columns = rows.columns
    for at, (field, column) in enumerate(zip(rows.schema, rows.columns, strict=True)):
        if not (pa.types.is_string(field.type) or pa.types.is_large_string(field.type)):
            continue
        broken = list(_broken(column, 0))
        if broken:
            message = f"column {field.name!r}: the text is not UTF-8"
            for place in broken:
                errors.setdefault(place, RowError("UnicodeDecodeError", message, "read", location))
            mask = pc.is_in(pa.array(range(len(column))), value_set=pa.array(broken))
            columns[at] = pc.if_else(mask, pa.scalar(None, field.type), column)
    if not errors:
        return Piece(rows)
    return Piece(pa.RecordBatch.from_arrays(columns, schema=rows.schema), dict(sorted(errors.items())))


def _broken(column: pa.Array, start: int) -> Iterator[int]:
    """The places of broken texts, found by halving."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        if len(column) == 1:
            yield start
            return
        half = len(column) // 2
        yield from _broken(column.slice(0, half), start)
        yield from _broken(column.slice(half), start + half)
