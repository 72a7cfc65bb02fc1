"""What a model returns as the type that it is declared with: nothing is cut, and no field is left out.

Arrow's own conversion of Python values takes 7.5 for an integer 7, and its casts a moment for its date; a struct whose
fields have other names becomes nulls in both.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from gristmill.models.types import is_list, stored_type

__all__ = ["exact_array", "exact_cast"]

_PARTS = {"s": 1_000_000, "ms": 1_000}
"""Microseconds of a unit of time that is coarser than Python's."""


def exact_array(values: Any, kind: pa.DataType, *, what: str, from_pandas: bool = False) -> pa.Array:
    """Python values as an Arrow array; numbers and moments that the type cannot hold whole are refused.

    A field that a struct lacks is null; one that is not declared is refused.

    Args:
        values: a list, or an array or a Series of objects.
        kind: the declared type.
        what: the column, for the error.
        from_pandas: whether NaN is null.

    Raises:
        ValueError: a value would be cut, or a struct has a field that is not declared.
        pyarrow.ArrowException: values of other kinds.

    Example:
        >>> exact_array([7.0, None], pa.int64(), what="y").to_pylist()
        [7, None]
    """
    # as from pandas, whose null of moments Arrow takes for the year 1 elsewhere
    found = pa.array(values, type=kind, from_pandas=from_pandas or _is_of_moments(kind))
    if _may_change(kind):
        values = values if isinstance(values, list) else list(values)
        try:
            is_sure = _is_sure(values, found)
        except (KeyError, TypeError, ValueError):
            is_sure = False
        if not is_sure:
            _check(values, kind, what)
    return found


def exact_cast(column: Any, kind: pa.DataType, *, what: str) -> Any:
    """An Arrow column as another type, with all that it holds; a field that a struct lacks is null.

    Args:
        column: an array or a chunked array.
        kind: the declared type.
        what: the column, for the error.

    Raises:
        ValueError: a value would be cut, or a struct has a field that is not declared.
        pyarrow.ArrowException: a value does not fit, or none of this type does.

    Example:
        >>> exact_cast(pa.array([7.0, None]), pa.int64(), what="y").to_pylist()
        [7, None]
    """
    if column.type == kind:
        return column
    _check_column(column, kind, what)
    return column.cast(kind)


def _is_of_moments(kind: pa.DataType) -> bool:
    return bool(kinds.is_temporal(kind) or (is_list(kind) and _is_of_moments(kind.value_type)))


def _may_change(kind: pa.DataType) -> bool:
    """Whether Arrow takes values for this type that it changes."""
    kind = stored_type(kind)
    if kinds.is_struct(kind):
        return bool(kind.num_fields)
    if kinds.is_map(kind):
        return _may_change(kind.key_type) or _may_change(kind.item_type)
    if is_list(kind):
        return _may_change(kind.value_type)
    return bool(kinds.is_integer(kind) or (kinds.is_temporal(kind) and not kinds.is_interval(kind)))


def _is_sure(values: list[Any], found: pa.Array) -> bool:
    """Whether Arrow has changed none of some plain values, told without a step of Python for each.

    Raises:
        KeyError, TypeError, ValueError: they are not so plain; that, and False, is no verdict.
    """
    kind = found.type
    if not _may_change(kind):
        return True
    if kinds.is_integer(kind):
        return _are_integers(values)
    if kinds.is_temporal(kind):
        return set(map(type, values)) <= _whole_classes(kind)
    there = list(filter(None, values)) if found.null_count else values
    if kinds.is_list(kind) or kinds.is_large_list(kind):
        dtypes = {getattr(item, "dtype", None) for item in there}
        if all(dtype is not None and dtype.kind in "iub" for dtype in dtypes):
            return True
        return _is_sure(list(chain.from_iterable(there)), found.flatten())
    if not kinds.is_struct(kind):
        return False
    # as many keys as values that have arrived: none of them was dropped
    arrived = [len(found) - child.null_count for child in (found.field(place) for place in range(kind.num_fields))]
    if sum(arrived) != sum(map(len, there)):
        return False
    return all(
        _is_sure(list(map(itemgetter(field.name), there)), found.field(place))
        for place, field in enumerate(kind)
        if _may_change(field.type)
    )


def _check(values: list[Any], kind: pa.DataType, what: str) -> None:
    """Refuse what Arrow has taken for `kind` and changed."""
    kind = stored_type(kind)
    values = [value.as_py() if isinstance(value, pa.Scalar) else value for value in values]
    if kinds.is_struct(kind):
        _check_structs([value for value in values if hasattr(value, "__iter__")], kind, what)
    elif kinds.is_map(kind):
        pairs = [pair for value in values if hasattr(value, "__iter__") for pair in _pairs(value)]
        for place, inner in enumerate((kind.key_type, kind.item_type)):
            if _may_change(inner):
                _check([pair[place] for pair in pairs], inner, what)
    elif is_list(kind):
        items = chain.from_iterable(_items(value, kind.value_type, what) for value in values)
        _check(list(items), kind.value_type, what)
    elif kinds.is_integer(kind):
        if not _are_integers(values):
            _refuse((value for value in values if _has_fraction(value)), kind, what)
    elif not set(map(type, values)) <= _whole_classes(kind):
        _refuse((value for value in values if _has_rest(value, kind)), kind, what)


def _items(value: Any, kind: pa.DataType, what: str) -> Iterable[Any]:
    """The items of a list's value.

    Raises:
        ValueError: they are moments of numpy with another unit, whose numbers Arrow takes for those of its own.
    """
    dtype: Any = getattr(value, "dtype", None)
    if dtype is None:
        return value if hasattr(value, "__iter__") else ()
    if dtype.kind in "mM" and dtype != f"{dtype.kind}8[{_unit(kind)}]":
        raise ValueError(f"the output {what!r} holds lists of {kind}: an array of {dtype} is no such list")
    return value if dtype.kind in "mM" else list(value.tolist())


def _check_structs(rows: Sequence[Any], kind: pa.StructType, what: str) -> None:
    names = [field.name for field in kind]
    if not all(issubclass(owner, Mapping) for owner in set(map(type, rows))):  # tuples of values, or pairs
        rows = [dict(zip(names, row, strict=False)) if isinstance(row, tuple) else dict(_pairs(row)) for row in rows]
    seen = {key.decode() if isinstance(key, bytes) else key for row in rows for key in row if row[key] is not None}
    _check_names(seen, names, what)
    for field in kind:
        if _may_change(field.type):
            _check([row.get(field.name) for row in rows], field.type, f"{what}.{field.name}")


def _check_names(seen: Iterable[Any], names: Sequence[str], what: str) -> None:
    seen = set(seen)
    if not seen.issubset(names):
        returned = ", ".join(sorted(map(str, seen)))
        raise ValueError(f"the model returned the fields {returned} in {what!r}; it has the fields {', '.join(names)}")


def _check_column(column: Any, kind: pa.DataType, what: str) -> None:
    """Refuse what Arrow's cast would leave out: values of other fields, the hours of days, the days of hours."""
    if kinds.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    given, kind = column.type, stored_type(kind)
    if kinds.is_struct(given) and kinds.is_struct(kind):
        _check_fields(column, kind, what)
    elif is_list(given) and is_list(kind):
        if kinds.is_nested(kind.value_type) or kinds.is_temporal(kind.value_type):
            _check_column(pc.list_flatten(column), kind.value_type, what)
    elif kinds.is_map(given) and kinds.is_map(kind):
        for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
            first, last = chunk.offsets[0].as_py(), chunk.offsets[-1].as_py()
            _check_column(chunk.keys.slice(first, last - first), kind.key_type, what)
            _check_column(chunk.items.slice(first, last - first), kind.item_type, what)
    elif kinds.is_timestamp(given) and kinds.is_date(kind):
        parts = (pc.hour, pc.minute, pc.second, pc.subsecond)  # of the zone's own clock
        whole = [pc.equal(part(column), 0) for part in parts]
        odd = column.filter(pc.invert(pc.and_(pc.and_(whole[0], whole[1]), pc.and_(whole[2], whole[3]))))
        _refuse(odd.slice(0, 1).to_pylist(), kind, what)
    elif kinds.is_timestamp(given) and kinds.is_time(kind):
        _refuse(column.drop_null().slice(0, 1).to_pylist(), kind, what)


def _check_fields(column: Any, kind: pa.StructType, what: str) -> None:
    names = [field.name for field in kind]
    if not names:
        return
    values = {field.name: pc.struct_field(column, [place]) for place, field in enumerate(column.type)}
    _check_names([name for name, inner in values.items() if inner.null_count < len(inner)], names, what)
    for field in kind:
        if field.name in values:
            _check_column(values[field.name], field.type, f"{what}.{field.name}")


def _refuse(values: Iterable[Any], kind: pa.DataType, what: str) -> None:
    for value in values:
        raise ValueError(f"the output {what!r} holds {kind}: {value!s} would be cut")


def _pairs(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.items()
    return [(pair["key"], pair["value"]) if isinstance(pair, Mapping) else pair for pair in value]


def _are_integers(values: Any) -> bool:
    try:
        kind = pa.infer_type(values)
    except (pa.ArrowException, OverflowError):
        return False
    return bool(kinds.is_integer(kind) or kinds.is_null(kind))


def _has_fraction(value: Any) -> bool:
    try:
        return bool(value == value) and int(value) != value  # NaN is null, in pandas
    except (TypeError, ValueError, OverflowError):
        return False  # a null of another kind


def _whole_classes(kind: pa.DataType) -> set[type]:
    """Classes whose values the type holds whole, whatever they are."""
    if kinds.is_date(kind):
        return {type(None), dt.date, int}
    exact = {type(None), int}
    return exact if kind.unit in _PARTS else exact | {dt.datetime, dt.time, dt.timedelta}


def _unit(kind: pa.DataType) -> str:
    """The unit of time of numpy that a type counts in."""
    return "D" if kinds.is_date32(kind) else "ms" if kinds.is_date64(kind) else str(kind.unit)


def _has_rest(value: Any, kind: pa.DataType) -> bool:
    """Whether a moment or a span of time is finer than the type; a number, whether it is no whole number."""
    if isinstance(value, dt.datetime | dt.time | dt.timedelta):
        if value != value:  # NaT of pandas
            return False
        if isinstance(value, dt.datetime) and kinds.is_date(kind):
            return bool(value.time() != dt.time() or getattr(value, "nanosecond", 0))
        spare = value.microseconds if isinstance(value, dt.timedelta) else value.microsecond
        finest = getattr(value, "nanosecond", 0) or getattr(value, "nanoseconds", 0)
        return bool(spare % _PARTS.get(kind.unit, 1) or (finest and kind.unit != "ns"))
    dtype = getattr(value, "dtype", None)
    if dtype is not None and dtype.kind in "mM":  # numpy's
        return bool(value == value and value.astype(f"{dtype.kind}8[{_unit(kind)}]") != value)
    return _has_fraction(value)
