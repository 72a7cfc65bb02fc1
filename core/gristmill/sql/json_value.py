"""Whether DuckDB reads a value of JSON as a type: where it does not it gives NULL, and says nothing."""

import json
import re
from datetime import date, datetime
from typing import Any

from gristmill.sql.type_text import reads_json

__all__ = ["unreadable"]

_BITS = {"tinyint": 8, "smallint": 16, "integer": 32, "bigint": 64, "hugeint": 128}
_ALL = frozenset({"boolean", "double", "enum", "varchar"})
"""Types that hold whatever their JSON schema lets through."""

_LARGEST_FLOAT = 3e38
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{3}|\.\d{6})?(Z|[+-]\d\d:\d\d)?")


def unreadable(value: Any, kind: Any, place: str = "it") -> str | None:
    """Which part of a value DuckDB cannot read; None where it reads all.

    Args:
        value: of JSON, which fits the schema of the type.
        kind: a type of DuckDB.
        place: where it stands, for errors.
    """
    if value is None:
        return None
    name = kind.id
    if name == "struct":
        parts = [(value.get(field), inner, f"{place}.{field}") for field, inner in kind.children]
    elif name in ("list", "array"):
        child = dict(kind.children)["child"]
        parts = [(item, child, f"{place}[{number}]") for number, item in enumerate(value)]
    elif name == "map":
        inner = dict(kind.children)
        parts = [(key, inner["key"], f"the key {key!r} of {place}") for key in value]
        parts += [(item, inner["value"], f"{place}.{key}") for key, item in value.items()]
    elif _surely_fits(value, kind) or reads_json(json.dumps(value), str(kind)):
        return None
    else:
        return f"{place} cannot be read as {kind}"
    return next((problem for part in parts if (problem := unreadable(*part)) is not None), None)


def _surely_fits(value: Any, kind: Any) -> bool:
    """What need not be asked of DuckDB, as nearly all that models answer."""
    name = kind.id
    if name in _ALL or str(kind) == "JSON":
        return True
    if isinstance(value, int | float):
        if name == "float":
            return bool(abs(value) < _LARGEST_FLOAT)
        if name == "decimal":
            sizes = dict(kind.children)
            return bool(abs(value) < 10 ** (sizes["precision"] - sizes["scale"]) - 1)
        bits = _BITS.get(name.removeprefix("u"))
        if bits is None:
            return False
        low, high = (0, 2**bits) if name.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1))
        return bool(low <= value < high)
    if name == "uuid":
        return _UUID.fullmatch(value) is not None
    try:
        if name == "date" and _DATE.fullmatch(value):
            date.fromisoformat(value)
            return True
        if name.startswith("timestamp") and _MOMENT.fullmatch(value):
            datetime.fromisoformat(value)
            return True
    except ValueError:
        pass
    return False
