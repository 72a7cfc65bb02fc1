"""What a model returns, as Arrow columns."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from gristmill.models.exact import exact_array, exact_cast
from gristmill.models.signature import Feature

__all__ = ["output_name", "to_output"]


def output_name(place: int) -> str:
    """The name of an output column that has none."""
    return f"output_feature_{place}"


def to_output(result: Any, rows: int | None, declared: tuple[Feature, ...] | None = None) -> pa.RecordBatch:
    """The output columns for what a model returned.

    Arrays without names become `output_feature_0`, `output_feature_1`, ...; memory is shared where it can be.

    Args:
        result: an Arrow table or batch, a pandas or Polars frame, a Series, a numpy array, a list of values or dicts,
            or a dict of columns.
        rows: how many rows it must have; None for any number, of a function that is given whole partitions.
        declared: the columns that the function promised; they are put in this order and cast to these types.

    Raises:
        ValueError: another number of rows, other columns or fields than promised, or a value that would be cut.
        TypeError: it is none of these.
        pyarrow.ArrowInvalid: values that do not fit the promised type, or each other.

    Example:
        >>> to_output([1, 2], 2).to_pydict()
        {'output_feature_0': [1, 2]}
    """
    single = declared[0] if declared is not None and len(declared) == 1 else None
    columns = _columns(result, single, {feature.name.lower(): feature.type for feature in declared or ()})
    _check_lengths(columns, rows)
    if rows is None and declared is not None and not any(len(column) for column in columns.values()):
        return pa.RecordBatch.from_arrays(
            [pa.array([], feature.type) for feature in declared], names=[feature.name for feature in declared]
        )
    if not columns and rows:
        raise ValueError(f"the model returned no columns for a batch of {rows} rows")
    if declared is not None:
        columns = _as_declared(columns, declared)
    arrays = [_whole(column) for column in columns.values()]
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _check_lengths(columns: Mapping[str, Any], rows: int | None) -> None:
    lengths = {name: len(column) for name, column in columns.items()}
    if rows is None:
        if len(set(lengths.values())) > 1:
            raise ValueError(f"the model returned columns of different lengths: {lengths}")
        return
    for name, length in lengths.items():
        if length != rows:
            raise ValueError(f"the model returned {length} rows for a batch of {rows} (column {name!r})")


def _columns(result: Any, single: Feature | None, kinds: Mapping[str, pa.DataType]) -> dict[str, Any]:
    if isinstance(result, pa.RecordBatch | pa.Table):
        return _unique(result.schema.names, result.columns)
    if isinstance(result, pa.Array | pa.ChunkedArray):
        return {single.name if single else output_name(0): result}
    if isinstance(result, Mapping):
        return {str(name): _array(values, kinds.get(str(name).lower()), str(name)) for name, values in result.items()}
    library = type(result).__module__.partition(".")[0]
    if library == "pandas":
        return _of_pandas(result, single, kinds)
    if hasattr(result, "__arrow_c_stream__"):
        name = getattr(result, "name", None)
        if hasattr(result, "columns"):
            table = pa.table(result)
            return _unique(table.schema.names, table.columns)
        return {single.name if single else str(name or output_name(0)): pa.chunked_array(result)}
    if hasattr(result, "toarray"):  # a scipy sparse matrix
        result = result.toarray()
    if hasattr(result, "detach"):  # a torch tensor
        result = result.detach().cpu().numpy()
    if hasattr(result, "ndim") and hasattr(result, "dtype"):
        return _of_numpy(result, single)
    if isinstance(result, Sequence) and not isinstance(result, str | bytes):
        if result and all(isinstance(item, Mapping) for item in result):
            names = {str(name): None for item in result for name in item}
            if single is None or not pa.types.is_struct(single.type) or _are_rows(names, single):
                return {
                    name: _array([item.get(name) for item in result], kinds.get(name.lower()), name) for name in names
                }
        name = single.name if single else output_name(0)
        return {name: _array(list(result), single.type if single else None, name)}
    raise TypeError(
        f"the model returned {type(result).__name__}; return a DataFrame, a Series, a numpy array, a list, "
        "a dict of columns, or an Arrow table or record batch"
    )


def _are_rows(names: Mapping[str, None], single: Feature) -> bool:
    """Whether dicts are rows with the one column, and not the values of that struct."""
    own = {field.name for field in single.type}
    return [name.lower() for name in names] == [single.name.lower()] and own.isdisjoint(names)


def _unique(names: Sequence[str], columns: Sequence[Any]) -> dict[str, Any]:
    if len(set(names)) != len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise ValueError(f"the model returned two columns named {twice!r}")
    return dict(zip(names, columns, strict=True))


def _array(values: Any, kind: pa.DataType | None, name: str) -> Any:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    wanted = None if kind is None or pa.types.is_null(kind) else kind
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    from_pandas = False
    if hasattr(values, "ndim") and hasattr(values, "dtype"):
        from_pandas = type(values).__module__.startswith("pandas")
        if values.ndim > 1:
            return _nested(values)
        if values.dtype != object:  # `_cast` does the rest; pandas has forms of its own for text and lists
            typed = wanted if from_pandas and values.dtype.kind != "M" else None
            return pa.array(values, type=typed, from_pandas=from_pandas)
    elif not isinstance(values, list):
        values = list(values)
    return (
        pa.array(values, from_pandas=from_pandas)
        if wanted is None
        else exact_array(values, wanted, what=name, from_pandas=from_pandas)
    )


def _nested(values: Any) -> pa.Array:
    """An array of n dimensions as a column of fixed-size lists, one per row."""
    if values.ndim == 1:
        return pa.array(values)
    inner = _nested(values.reshape(-1, *values.shape[2:]))
    return pa.FixedSizeListArray.from_arrays(inner, values.shape[1])


def _of_pandas(result: Any, single: Feature | None, kinds: Mapping[str, pa.DataType]) -> dict[str, Any]:
    if not hasattr(result, "columns"):
        name = single.name if single else str(result.name) if result.name is not None else output_name(0)
        return {name: _array(result, single.type if single else None, name)}
    names = [output_name(name) if isinstance(name, int) else str(name) for name in result.columns]
    if single is not None and len(names) == 1 and isinstance(result.columns[0], int):
        names = [single.name]
    series = [result.iloc[:, place] for place in range(len(names))]
    return _unique(
        names, [_array(column, kinds.get(name.lower()), name) for name, column in zip(names, series, strict=True)]
    )


def _of_numpy(result: Any, single: Feature | None) -> dict[str, Any]:
    if result.ndim == 0:
        raise TypeError("the model returned a single value; return one for each row")
    if single is not None:
        return {single.name: _array(result, single.type, single.name)}
    if result.ndim == 1:
        return {output_name(0): _array(result, None, output_name(0))}
    if result.ndim > 2:
        return {output_name(0): _nested(result)}
    if not result.flags.f_contiguous:
        result = result.copy(order="F")
    return {output_name(place): _array(result[:, place], None, output_name(place)) for place in range(result.shape[1])}


def _as_declared(columns: Mapping[str, Any], declared: tuple[Feature, ...]) -> dict[str, Any]:
    if [*columns] == [output_name(place) for place in range(len(declared))]:
        columns = dict(zip((feature.name for feature in declared), columns.values(), strict=True))
    folded = {name.lower(): name for name in columns}
    wanted = {feature.name.lower() for feature in declared}
    missing = [feature.name for feature in declared if feature.name.lower() not in folded]
    extra = [name for name in columns if name.lower() not in wanted]
    if missing or extra:
        promised = ", ".join(feature.name for feature in declared)
        raise ValueError(f"the model returned the columns {', '.join(columns)}; its outputs are declared as {promised}")
    return {feature.name: _cast(columns[folded[feature.name.lower()]], feature) for feature in declared}


def _cast(column: Any, feature: Feature) -> Any:
    if pa.types.is_null(feature.type):
        return column
    try:
        return exact_cast(column, feature.type, what=feature.name)
    except pa.ArrowException as error:
        raise type(error)(f"the output {feature.name!r} is declared as {feature.type}: {error}") from error


def _whole(column: Any) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return column
