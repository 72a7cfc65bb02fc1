"""Example rows, in whatever form, as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from gristmill.errors import ModelError

__all__ = ["example_of"]


def example_of(rows: Any, *, prefix: str) -> pa.Table:
    """The rows as an Arrow table; columns without names are called `<prefix>_0`, `<prefix>_1`, ...

    Args:
        rows: a pandas or Polars frame or series, an Arrow table, batch or array, a numpy array or tensor, a dict of
            columns, a list of dicts or of values.
        prefix: of names for columns that have none.

    Raises:
        ModelError: it is none of these.

    Example:
        >>> example_of([{"x": 1}, {"x": 2}], prefix="input_feature").to_pydict()
        {'x': [1, 2]}
        >>> example_of(["a"], prefix="input_feature").to_pydict()
        {'input_feature_0': ['a']}
    """
    try:
        return _table(rows, prefix)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise ModelError(f"an example of type {type(rows).__name__} cannot be read as rows: {error}") from error


def _table(rows: Any, prefix: str) -> pa.Table:
    if isinstance(rows, pa.RecordBatch):
        return pa.Table.from_batches([rows])
    if isinstance(rows, pa.Array | pa.ChunkedArray):
        return pa.table({f"{prefix}_0": rows})
    if isinstance(rows, pa.Table):
        return rows
    if hasattr(rows, "detach"):  # a torch tensor
        rows = rows.detach().cpu().numpy()
    if type(rows).__module__.partition(".")[0] == "pandas":
        frame = rows.to_frame(rows.name if rows.name is not None else f"{prefix}_0") if rows.ndim == 1 else rows
        table = pa.Table.from_pandas(frame, preserve_index=False)
        names = [f"{prefix}_{name}" if isinstance(name, int) else str(name) for name in frame.columns]
        return table.rename_columns(names).replace_schema_metadata(None)
    if hasattr(rows, "ndim") and hasattr(rows, "dtype"):
        return _of_numpy(rows, prefix)
    if hasattr(rows, "to_frame") and hasattr(rows, "name"):  # a Polars series
        rows = rows.to_frame(rows.name or f"{prefix}_0")
    if hasattr(rows, "__arrow_c_stream__"):
        return pa.table(rows)
    if isinstance(rows, Mapping):
        return pa.table({str(name): values for name, values in rows.items()})
    if isinstance(rows, Sequence) and not isinstance(rows, str | bytes):
        if rows and all(isinstance(row, Mapping) for row in rows):
            return pa.Table.from_pylist([dict(row) for row in rows])
        return pa.table({f"{prefix}_0": list(rows)})
    raise TypeError("give a frame, an Arrow table, an array, a dict of columns, or a list of rows")


def _of_numpy(rows: Any, prefix: str) -> pa.Table:
    if rows.ndim == 2:
        return pa.table({f"{prefix}_{place}": pa.array(rows[:, place]) for place in range(rows.shape[1])})
    return pa.table({f"{prefix}_0": _nested(rows)})


def _nested(values: Any) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(_nested(values.reshape(-1, *values.shape[2:])), values.shape[1])
