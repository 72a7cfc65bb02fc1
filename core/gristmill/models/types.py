"""Types as people write them, as Arrow types."""

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from gristmill.errors import ModelError

__all__ = ["annotated_type", "arrow_type", "is_list", "stored_type"]

_NAMES = {
    "any": pa.null(),
    "bool": pa.bool_(),
    "bytes": pa.binary(),
    "date": pa.date32(),
    "str": pa.string(),
    "timestamp": pa.timestamp("us"),
}
_ARROW_NAMES = frozenset(
    {
        *(
            "binary",
            "bool_",
            "double",
            "float",
            "float16",
            "float32",
            "float64",
            "large_binary",
            "large_string",
            "string",
        ),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "null", "date32", "date64"),
    }
)
_CLASSES = {
    bool: pa.bool_(),
    bytes: pa.binary(),
    float: pa.float64(),
    int: pa.int64(),
    str: pa.string(),
    dict: pa.struct([]),
}


def arrow_type(written: Any, *, what: str) -> pa.DataType:
    """The Arrow type for a type as it is written in a signature.

    Args:
        written: an Arrow type; a name in any case (`"int64"`, `"DOUBLE"`, `"string"`, `"bytes"`); a Python class;
            a list of one type for a list, a tuple of a type and a length for a list of that shape, a dict for a group.
        what: what the type belongs to, for the error.

    Raises:
        ModelError: it is none of these.

    Example:
        >>> arrow_type([{"label": "string", "score": "double"}], what="outputs.labels")
        ListType(list<item: struct<label: string, score: double>>)
    """
    if isinstance(written, pa.DataType):
        return written
    if isinstance(written, str):
        name = written.strip().lower()
        if name in _NAMES:
            return _NAMES[name]
        if name == "float":
            return pa.float32()
        if name in _ARROW_NAMES:
            return getattr(pa, {"double": "float64"}.get(name, name))()
    elif isinstance(written, type) and written in _CLASSES:
        return _CLASSES[written]
    elif isinstance(written, Mapping):
        return pa.struct([(name, arrow_type(inner, what=f"{what}.{name}")) for name, inner in written.items()])
    elif isinstance(written, tuple) and len(written) == 2 and isinstance(written[1], int):
        return pa.list_(arrow_type(written[0], what=what), written[1])
    elif isinstance(written, Sequence) and len(written) == 1:
        return pa.list_(arrow_type(written[0], what=what))
    known = ", ".join(sorted(_ARROW_NAMES | _NAMES.keys()))
    raise ModelError(
        f"{what}: {written!r} is not a type; write an Arrow type, a Python class, [type] for a list, "
        f"(type, length) for a list of that shape, a dict for a group, or one of: {known}"
    )


def annotated_type(annotation: Any, default: Any) -> tuple[pa.DataType, bool]:
    """The Arrow type of a parameter and whether it may be None, from its annotation, else from its default.

    What neither tells is any value: `pa.null()`.
    """
    nullable = False
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(annotation) if member is not type(None)]
        nullable = len(members) < len(typing.get_args(annotation))
        annotation = members[0] if len(members) == 1 else Any
    found = _annotation(annotation)
    return (_of_value(default) if found is None else found), nullable


def _annotation(annotation: Any) -> pa.DataType | None:
    if annotation is Any:
        return pa.null()
    if isinstance(annotation, type) and annotation in _CLASSES:
        return _CLASSES[annotation]
    origin, arguments = typing.get_origin(annotation) or annotation, typing.get_args(annotation)
    if origin in (list, Sequence, tuple):
        inner = _annotation(arguments[0]) if arguments else None
        return pa.list_(pa.null() if inner is None else inner)
    if origin in (dict, Mapping):
        return pa.struct([])
    return None


def _of_value(value: Any) -> pa.DataType:
    if isinstance(value, list | tuple):
        found = {_of_value(item) for item in value}
        return pa.list_(found.pop() if len(found) == 1 else pa.null())
    return _CLASSES.get(type(value), pa.null())


def stored_type(kind: pa.DataType) -> pa.DataType:
    """What a column holds beneath its encodings: extension types, dictionaries, run ends.

    Example:
        >>> stored_type(pa.dictionary(pa.int8(), pa.string()))
        DataType(string)
    """
    while True:
        if isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
        elif pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
            kind = kind.value_type
        else:
            return kind


def is_list(kind: pa.DataType) -> bool:
    """Whether it is a list of any length, of one length, or of views."""
    checks = pa.types
    return bool(
        checks.is_list(kind)
        or checks.is_large_list(kind)
        or checks.is_fixed_size_list(kind)
        or checks.is_list_view(kind)
        or checks.is_large_list_view(kind)
    )
