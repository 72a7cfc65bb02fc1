"""Looking at binary columns without copying them."""

from typing import Any

import pyarrow as pa

__all__ = ["binary_views"]


def binary_views(column: Any) -> list[memoryview | None]:
    """The values of a binary column where they are, for models that take Arrow batches of large files.

    `to_pylist()` and a column's scalars copy every value; these views do not. They are valid as long as the column is.

    Args:
        column: a `binary` or `large_binary` array of n values.

    Returns:
        n views, None for null.

    Raises:
        TypeError: the column is of another type.

    Example:
        >>> [bytes(view) for view in binary_views(pa.array([b"a", b"bc"]))]
        [b'a', b'bc']
    """
    kind = column.type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise TypeError(f"the column holds {kind}, not binary values")
    _, offset_buffer, data = column.buffers()
    plain = memoryview(offset_buffer).cast("B") if offset_buffer is not None else memoryview(b"")
    offsets = plain.cast("q") if pa.types.is_large_binary(kind) else plain.cast("i")
    content = memoryview(data).cast("B") if data is not None else memoryview(b"")
    missing = column.is_null().to_pylist() if column.null_count else [False] * len(column)
    first = column.offset
    return [
        None if missing[index] else content[offsets[first + index] : offsets[first + index + 1]]
        for index in range(len(column))
    ]
