"""Whether a column of the input can be given to a model as the column that it takes."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.types as kinds

from gristmill.models.signature import Feature
from gristmill.models.types import is_list, stored_type

__all__ = ["fits", "misfits"]


def fits(given: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether values of one type can be cast to another without changing what they are.

    Numbers fit any kind of number and lists a list of any length: a value that does not is its row's failure. Text is
    never read as a number, nor bytes as text. `pa.null()` fits, and is fitted by, anything.

    Example:
        >>> fits(pa.int32(), pa.float64()), fits(pa.string(), pa.int64())
        (True, False)
    """
    given, wanted = stored_type(given), stored_type(wanted)
    if given == wanted or kinds.is_null(given) or kinds.is_null(wanted):
        return True
    if is_list(wanted):
        return is_list(given) and _lists_fit(given, wanted)
    if kinds.is_struct(wanted):
        return kinds.is_struct(given) and _structs_fit(given, wanted)
    if kinds.is_map(wanted):
        return kinds.is_map(given) and fits(given.key_type, wanted.key_type) and fits(given.item_type, wanted.item_type)
    if kinds.is_decimal(wanted):
        return bool(kinds.is_decimal(given) or kinds.is_floating(given))
    if kinds.is_integer(wanted) or kinds.is_floating(wanted):
        return _is_number(given) or bool(kinds.is_boolean(given))
    return any(test(given) and test(wanted) for test in (_is_text, _is_bytes, _is_moment, kinds.is_time, _is_duration))


def misfits(inputs: Sequence[Feature], schema: pa.Schema) -> tuple[list[str], list[str]]:
    """What is wrong with some columns for a function; both lists are empty where nothing is.

    Names match without regard to case; the same spelling comes before another.

    Returns:
        The inputs that are missing, and what is wrong with the others, a phrase for each.

    Example:
        >>> misfits([Feature("age", pa.int64()), Feature("name", pa.string())], pa.schema({"AGE": pa.string()}))
        (['name'], ["the column 'AGE' holds string where it takes int64"])
    """
    missing: list[str] = []
    wrong: list[str] = []
    folded: dict[str, list[int]] = {}
    for place, name in enumerate(schema.names):
        folded.setdefault(name.lower(), []).append(place)
    for feature in inputs:
        places = folded.get(feature.name.lower(), [])
        places = [place for place in places if schema.names[place] == feature.name] or places
        if not places:
            missing.append(feature.name)
        elif len(places) > 1:
            several = ", ".join(repr(schema.names[place]) for place in places)
            wrong.append(f"its input {feature.name!r} could be any of {several}, rename all but one")
        elif not fits(schema.field(places[0]).type, feature.type):
            wrong.append(_phrase(schema.field(places[0]), feature.type))
    return missing, wrong


def _phrase(field: pa.Field, wanted: pa.DataType) -> str:
    hint = ""
    if _is_text(stored_type(field.type)) and _is_bytes(stored_type(wanted)):
        hint = " (if it names files, give it in input_spec.column_handling)"
    return f"the column {field.name!r} holds {field.type} where it takes {wanted}{hint}"


def _lists_fit(given: pa.DataType, wanted: pa.DataType) -> bool:
    sizes = {kind.list_size for kind in (given, wanted) if kinds.is_fixed_size_list(kind)}
    return len(sizes) < 2 and fits(given.value_type, wanted.value_type)


def _structs_fit(given: pa.DataType, wanted: pa.DataType) -> bool:
    there = {field.name: field.type for field in given}
    return all(field.name in there and fits(there[field.name], field.type) for field in wanted)


def _is_number(kind: pa.DataType) -> bool:
    return bool(kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_decimal(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        kinds.is_binary(kind)
        or kinds.is_large_binary(kind)
        or kinds.is_binary_view(kind)
        or kinds.is_fixed_size_binary(kind)
    )


def _is_moment(kind: pa.DataType) -> bool:
    return bool(kinds.is_timestamp(kind) or kinds.is_date(kind))


def _is_duration(kind: pa.DataType) -> bool:
    return bool(kinds.is_duration(kind))
