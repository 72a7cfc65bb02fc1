"""SQL types as JSON schemas, and whether a value fits one."""

from collections.abc import Mapping
from typing import Any

from gristmill.errors import SpecError

__all__ = ["schema_of", "wrong_value"]

_WHOLE = frozenset(
    {"tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"}
)
_NUMBERS = frozenset({"decimal", "double", "float"})
_TEXTS = {
    "date": "date", "time": "time", "timestamp": "date-time", "timestamp with time zone": "date-time", "uuid": "uuid",
    "varchar": None,
}  # fmt: skip


def schema_of(kind: Any, *, place: str) -> dict[str, Any]:
    """The JSON schema of a SQL type; all fields of a struct are asked for.

    Args:
        kind: a type of DuckDB.
        place: where it stands, for errors.

    Raises:
        SpecError: JSON has nothing for it, such as BLOB.
    """
    name = kind.id
    if name == "struct":
        fields = {field: schema_of(inner, place=f"{place}.{field}") for field, inner in kind.children}
        return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    if name in ("list", "array"):
        parts = dict(kind.children)
        schema = {"type": "array", "items": schema_of(parts["child"], place=f"{place}[]")}
        return schema | ({"minItems": parts["size"], "maxItems": parts["size"]} if "size" in parts else {})
    if name == "map":
        parts = dict(kind.children)
        return {"type": "object", "additionalProperties": schema_of(parts["value"], place=f"{place}[]")}
    if name == "enum":
        return {"type": "string", "enum": list(dict(kind.children)["values"])}
    if str(kind) == "JSON":
        return {}
    if name in _TEXTS:
        form = _TEXTS[name]
        return {"type": "string"} | ({} if form is None else {"format": form})
    if name == "boolean":
        return {"type": "boolean"}
    if name in _WHOLE or name in _NUMBERS:
        return {"type": "integer" if name in _WHOLE else "number"}
    raise SpecError(f"{place}: the type {kind} has no form in JSON; take VARCHAR, a number, a list or a struct")


def wrong_value(value: Any, schema: Mapping[str, Any], place: str = "it") -> str | None:
    """What keeps a value of JSON from fitting a schema of `schema_of`; None where it fits.

    Example:
        >>> wrong_value({"a": "x"}, {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})
        'it.a is not of type integer'
    """
    kind = schema.get("type")
    if kind is not None and not _is(value, kind):
        return f"{place} is not of type {kind}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{place} is none of {', '.join(schema['enum'])}"
    inner: list[tuple[Any, Mapping[str, Any], str]] = []
    if isinstance(value, dict):
        fields = schema.get("properties", {})
        missing = [name for name in schema.get("required", ()) if name not in value]
        if missing:
            return f"{place}.{missing[0]} is missing"
        more = schema.get("additionalProperties")
        inner += [(item, fields.get(name, more or {}), f"{place}.{name}") for name, item in value.items()]
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            return f"{place} has {len(value)} items and not {schema['minItems']}"
        inner += [(item, schema.get("items", {}), f"{place}[{number}]") for number, item in enumerate(value)]
    problems = (wrong_value(item, one, where) for item, one, where in inner)
    return next((problem for problem in problems if problem is not None), None)


def _is(value: Any, kind: str) -> bool:
    if kind == "integer":
        return value.is_integer() if isinstance(value, float) else _is(value, "number")
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    python = {"object": dict, "array": list, "string": str, "boolean": bool}[kind]
    return isinstance(value, python)
