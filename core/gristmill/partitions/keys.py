"""The keys of partitions: which columns can hold them, when two are equal, in which order they come.

Keys that are equal make one partition: -0.0 is 0.0, one NaN is like another, and so is one null. They come in ascending
order, NaN after all numbers, null last.
"""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from gristmill.errors import SchemaError
from gristmill.models.types import stored_type

__all__ = ["changes", "check_key", "comparable", "key_text", "sorted_order"]

_MOST_TEXT = 200


def check_key(kind: pa.DataType, *, what: str) -> None:
    """Refuse a column that cannot tell partitions apart.

    Args:
        kind: its type.
        what: the field and the column, for the error.

    Raises:
        SchemaError: it is nested, or of a type without an order.
    """
    plain = stored_type(kind)
    tests = (
        kinds.is_boolean,
        kinds.is_integer,
        kinds.is_floating,
        kinds.is_decimal,
        kinds.is_string,
        kinds.is_large_string,
        kinds.is_binary,
        kinds.is_large_binary,
        kinds.is_fixed_size_binary,
        kinds.is_date,
        kinds.is_time,
        kinds.is_timestamp,
        kinds.is_duration,
        kinds.is_null,
    )
    if not any(test(plain) for test in tests):
        raise SchemaError(
            f"{what} holds {kind}, which cannot tell partitions apart; "
            "partition by text, a number, a truth value, bytes, a date or a time: make such a column with a query"
        )


def comparable(column: pa.Array) -> pa.Array:
    """A column of keys as Arrow can compare and sort it: without encodings and extension types."""
    while isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    if kinds.is_dictionary(column.type):
        column = column.dictionary_decode()
    if kinds.is_decimal32(column.type) or kinds.is_decimal64(column.type):
        return column.cast(pa.decimal128(column.type.precision, column.type.scale))
    return column.cast(pa.float32()) if kinds.is_float16(column.type) else column


def sorted_order(keys: pa.Array) -> pa.Array:
    """The places of the keys in their order; equal ones as they come."""
    return pc.sort_indices(keys)


def changes(keys: pa.Array) -> list[int]:
    """The places where a key differs from the one before it.

    Args:
        keys: as `comparable` gives them.

    Example:
        >>> changes(pa.array(["a", "a", "b", None, None]))
        [2, 3]
    """
    count = len(keys)
    if count < 2 or kinds.is_null(keys.type):
        return []
    before, here = keys.slice(0, count - 1), keys.slice(1)
    same = pc.equal(before, here)
    if keys.null_count:
        same = pc.or_(pc.fill_null(same, False), pc.and_(pc.is_null(before), pc.is_null(here)))  # noqa: FBT003 - Arrow's
    if kinds.is_floating(keys.type):
        both = pc.and_(pc.is_nan(before), pc.is_nan(here))
        same = pc.or_(same, pc.fill_null(both, False))  # noqa: FBT003 - Arrow's
    return [place + 1 for place in pc.indices_nonzero(pc.invert(same)).to_pylist()]


def key_text(key: Any) -> str:
    """A key for people, and for the reference of an error.

    Example:
        >>> key_text("eu"), key_text(None)
        ('eu', 'null')
    """
    text = "null" if key is None else str(key)
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…"
