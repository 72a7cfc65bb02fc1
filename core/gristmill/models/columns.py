"""Finding a model's columns among those of the input, without regard to case and order."""

from collections.abc import Sequence

import pyarrow as pa

from gristmill.errors import SchemaError

__all__ = ["match_columns", "own_name"]


def match_columns(wanted: Sequence[str], schema: pa.Schema) -> list[int]:
    """The place in `schema` of each wanted column; the same spelling comes before another case.

    Raises:
        SchemaError: columns are missing, or a name could be several columns.

    Example:
        >>> match_columns(["age"], pa.schema([("ID", pa.int64()), ("AGE", pa.int64())]))
        [1]
    """
    exact = {name: place for place, name in reversed(list(enumerate(schema.names)))}
    folded: dict[str, list[int]] = {}
    for place, name in enumerate(schema.names):
        folded.setdefault(name.lower(), []).append(place)
    found, missing = [], []
    for name in wanted:
        places = [exact[name]] if name in exact else folded.get(name.lower(), [])
        if len(places) > 1:
            several = ", ".join(repr(schema.names[place]) for place in places)
            raise SchemaError(f"the model's input {name!r} could be any of {several}; rename all but one")
        if places:
            found.append(places[0])
        else:
            missing.append(name)
    if missing:
        raise SchemaError(
            f"the input lacks {len(missing)} of the {len(wanted)} columns that the model needs: {_some(missing)}; "
            f"it has: {_some(schema.names) or 'none'}"
        )
    return found


def own_name(schema: pa.Schema, name: str, *, what: str) -> str:
    """The input's own name of a column that the user named without regard to case; the same spelling comes first.

    Args:
        schema: the input's columns.
        name: as the user wrote it.
        what: the field, for the error.

    Raises:
        SchemaError: there is no such column.

    Example:
        >>> own_name(pa.schema({"REGION": pa.string()}), "region", what="input_spec.partition_column")
        'REGION'
    """
    found = [one for one in schema.names if one.lower() == name.lower()]
    if not found:
        raise SchemaError(f"{what}: the input has no column {name!r}; it has: {_some(schema.names) or 'none'}")
    return name if name in found else found[0]


def _some(names: Sequence[str], limit: int = 20) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
