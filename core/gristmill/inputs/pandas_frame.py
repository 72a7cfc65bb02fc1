"""Rows of a pandas frame as record batches."""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from gristmill.errors import SchemaError
from gristmill.inputs.schema import check_names

__all__ = ["pandas_batches"]


def pandas_batches(frame: Any, *, rows: int) -> tuple[pa.Schema, Callable[[], Iterator[pa.RecordBatch]]]:
    """The schema of a pandas frame, and its rows in batches of at most `rows`.

    A column's type is told by all of its values, so that it does not change between batches. An index comes along
    when it has a name.

    Raises:
        SchemaError: two columns share a name, or a column's values have no common type.
    """
    names = [name for name in frame.index.names if name is not None]
    if len(names) == frame.index.nlevels:
        frame = frame.reset_index()
    check_names([str(name) for name in frame.columns], what="the pandas.DataFrame")
    columns = [(str(name), frame.iloc[:, at]) for at, name in enumerate(frame.columns)]
    schema = pa.schema([(name, _array(name, column, None).type) for name, column in columns])

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(frame), rows):
            arrays = [
                _array(name, column.iloc[start : start + rows], field.type)
                for (name, column), field in zip(columns, schema, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    return schema, batches


def _array(name: str, column: Any, kind: pa.DataType | None) -> pa.Array:
    try:
        found = pa.array(column, kind, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise SchemaError(
            f"the pandas.DataFrame: the values of column {name!r} (dtype {column.dtype}) have no common type: {error}; "
            "convert it, for example with .astype(str)"
        ) from error
    return (
        found
        if isinstance(found, pa.Array)
        else pa.concat_arrays(found.chunks)
        if found.chunks
        else pa.array([], found.type)
    )
