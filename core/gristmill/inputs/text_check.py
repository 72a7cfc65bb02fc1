"""Text that is none: Arrow hands on the bytes in a text column of Parquet without looking at them."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from gristmill.inputs.pieces import Piece
from gristmill.spec.row_error import RowError

__all__ = ["checked_text"]


def checked_text(rows: pa.RecordBatch, location: str) -> Piece:
    """The rows, null where a text is not UTF-8, which is that row's error.

    Text columns are looked into, dictionaries of text too, not texts within nested columns.
    """
    errors: dict[int, RowError] = {}
    mended: dict[int, pa.Array] = {}
    for at, (field, column) in enumerate(zip(rows.schema, rows.columns, strict=True)):
        if pa.types.is_dictionary(field.type) and _is_text(field.type.value_type):
            found = list(_broken(column.dictionary, 0))
            broken = pc.indices_nonzero(_is_among(column.indices, found)).to_pylist() if found else []
            if found:
                indices = pc.if_else(_is_among(column.indices, found), None, column.indices)
                values = _emptied(column.dictionary, found)
                mended[at] = pa.DictionaryArray.from_arrays(indices, values, ordered=field.type.ordered)
        elif _is_text(field.type):
            broken = list(_broken(column, 0))
            if broken:
                mended[at] = pc.if_else(_is_among(_places(column), broken), pa.scalar(None, field.type), column)
        else:
            continue
        message = f"column {field.name!r}: the text is not UTF-8"
        for place in broken:
            errors.setdefault(place, RowError("UnicodeDecodeError", message, "read", location))
    if not mended:
        return Piece(rows)
    columns = [mended.get(at, column) for at, column in enumerate(rows.columns)]
    return Piece(pa.RecordBatch.from_arrays(columns, schema=rows.schema), dict(sorted(errors.items())))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _places(column: pa.Array) -> pa.Array:
    return pa.array(range(len(column)), pa.int64())


def _is_among(numbers: pa.Array, chosen: list[int]) -> pa.Array:
    return pc.is_in(numbers, value_set=pa.array(chosen, numbers.type))


def _emptied(values: pa.Array, broken: list[int]) -> pa.Array:
    return pc.if_else(_is_among(_places(values), broken), pa.scalar("", values.type), values)


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
