"""Arrow types as JSON, readable where they can be, and lossless always."""

import re
from typing import Any

import pyarrow as pa

from gristmill.spec.schema_text import schema_from_text, schema_to_text

__all__ = ["type_from_json", "type_to_json"]

_ZONED = re.compile(r"timestamp\[(s|ms|us|ns), tz=(.+)\]")
_DECIMAL = re.compile(r"decimal(32|64|128|256)\((\d+), (-?\d+)\)")
_SIZED = re.compile(r"fixed_size_binary\[(\d+)\]")


def type_to_json(kind: pa.DataType) -> Any:
    """A type as text, or as a dict where it holds others; what has no such form stands as Arrow writes it.

    Example:
        >>> type_to_json(pa.list_(pa.struct([("text", pa.string()), ("at", pa.list_(pa.float64(), 2))])))
        {'list': {'struct': [['text', 'string'], ['at', {'list': 'double', 'size': 2}]]}}
    """
    written = _written(kind)
    if written is not None and _is_same(_read(written), kind):
        return written
    return {"arrow": schema_to_text(pa.schema([("", kind)]))}


def type_from_json(written: Any) -> pa.DataType:
    """The type that `type_to_json` wrote.

    Raises:
        ValueError: it is not of that form.
    """
    if isinstance(written, dict) and "arrow" in written:
        return schema_from_text(written["arrow"]).field(0).type
    found = _read(written)
    if found is None:
        raise ValueError(f"{written!r} is not an Arrow type as it is stored")
    return found


def _is_same(one: pa.DataType | None, other: pa.DataType) -> bool:
    return one is not None and bool(pa.field("", one).equals(pa.field("", other), check_metadata=True))


def _written(kind: pa.DataType) -> Any:
    checks = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return None
    if checks.is_fixed_size_list(kind):
        return {"list": type_to_json(kind.value_type), "size": kind.list_size}
    if checks.is_list(kind):
        return {"list": type_to_json(kind.value_type)}
    if checks.is_large_list(kind):
        return {"large_list": type_to_json(kind.value_type)}
    if checks.is_struct(kind):
        return {"struct": [_field(field) for field in kind]}
    if checks.is_map(kind):
        return {"map": [type_to_json(kind.key_type), type_to_json(kind.item_type)]}
    if checks.is_nested(kind) or checks.is_dictionary(kind):
        return None
    return str(kind)


def _field(field: pa.Field) -> list[Any]:
    return [field.name, type_to_json(field.type), *([] if field.nullable else ["required"])]


def _read(written: Any) -> pa.DataType | None:
    if isinstance(written, str):
        return _primitive(written)
    if not isinstance(written, dict):
        return None
    if "list" in written:
        return pa.list_(type_from_json(written["list"]), written.get("size", -1))
    if "large_list" in written:
        return pa.large_list(type_from_json(written["large_list"]))
    if "map" in written:
        return pa.map_(*map(type_from_json, written["map"]))
    if "struct" in written:
        return pa.struct(
            [pa.field(name, type_from_json(kind), nullable=not how) for name, kind, *how in written["struct"]]
        )
    return None


def _primitive(name: str) -> pa.DataType | None:
    if zoned := _ZONED.fullmatch(name):
        return pa.timestamp(zoned[1], tz=zoned[2])
    if decimal := _DECIMAL.fullmatch(name):
        return getattr(pa, f"decimal{decimal[1]}")(int(decimal[2]), int(decimal[3]))
    if sized := _SIZED.fullmatch(name):
        return pa.binary(int(sized[1]))
    try:
        return pa.type_for_alias(name)
    except ValueError:
        return None
