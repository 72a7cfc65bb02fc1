"""A signature as JSON, so that a stored model tells what it takes before it is loaded."""

import base64
import datetime as dt
import math
from collections.abc import Callable, Mapping
from typing import Any

from gristmill.errors import ModelError
from gristmill.models.signature import Bounds, Feature, Param, Signature
from gristmill.models.type_text import type_from_json, type_to_json

__all__ = ["signature_from_dict", "signature_to_dict"]


def signature_to_dict(signature: Signature) -> dict[str, Any]:
    """The signature as a dict that JSON can hold; what says nothing is left out.

    Raises:
        ModelError: the default of a param is of a kind that JSON cannot hold.

    Example:
        >>> signature_to_dict(Signature(outputs=(Feature("label", pa.int64()),)))
        {'outputs': [{'name': 'label', 'type': 'int64'}]}
    """
    found: dict[str, Any] = {}
    for what, features in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        if features is not None:
            found[what] = [{"name": feature.name, "type": type_to_json(feature.type)} for feature in features]
    if signature.params:
        found["params"] = [_param(param) for param in signature.params]
    if signature.is_chat:
        found["is_chat"] = True
    if signature.kind != "scalar":
        found["kind"] = signature.kind
    return found


def signature_from_dict(written: Mapping[str, Any]) -> Signature:
    """The signature that `signature_to_dict` wrote.

    Raises:
        ModelError: it is not of that form.

    Example:
        >>> signature_from_dict({"inputs": [{"name": "text", "type": "string"}]}).inputs
        (Feature(name='text', type=DataType(string)),)
    """
    try:
        return Signature(
            inputs=_features(written.get("inputs")),
            outputs=_features(written.get("outputs")),
            params=tuple(_param_of(param) for param in written.get("params", ())),
            is_chat=bool(written.get("is_chat", False)),
            kind=written.get("kind", "scalar"),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"the stored signature cannot be read ({type(error).__name__}: {error})") from error


def _features(written: Any) -> tuple[Feature, ...] | None:
    if written is None:
        return None
    return tuple(Feature(item["name"], type_from_json(item["type"])) for item in written)


def _param(param: Param) -> dict[str, Any]:
    found = {
        "name": param.name,
        "type": type_to_json(param.type),
        "default": _value(param.default, what=f"the param {param.name!r}"),
    }
    if param.nullable:
        found["nullable"] = True
    if param.choices:
        found["choices"] = [_value(choice, what=f"the param {param.name!r}") for choice in param.choices]
    if param.bounds is not None:
        bounds = param.bounds
        found["bounds"] = [_value(bounds.least, what=""), _value(bounds.most, what=""), bounds.source]
    return found


def _param_of(written: Mapping[str, Any]) -> Param:
    bounds = written.get("bounds")
    return Param(
        written["name"],
        type_from_json(written["type"]),
        _value_of(written["default"]),
        nullable=written.get("nullable", False),
        choices=tuple(_value_of(choice) for choice in written.get("choices", ())),
        bounds=None if bounds is None else Bounds(_value_of(bounds[0]), _value_of(bounds[1]), bounds[2]),
    )


def _value(value: Any, *, what: str) -> Any:
    """A value as JSON; what JSON has not is a dict whose one key says so."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, dt.datetime):
        return {"$datetime": value.isoformat()}
    if isinstance(value, dt.date):
        return {"$date": value.isoformat()}
    if isinstance(value, list | tuple):
        return [_value(item, what=what) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        plain = {key: _value(item, what=what) for key, item in value.items()}
        return {"$dict": plain} if any(key.startswith("$") for key in plain) else plain
    raise ModelError(f"{what}: its default, a {type(value).__name__}, is nothing that can be stored with the model")


def _value_of(written: Any) -> Any:
    if isinstance(written, list):
        return [_value_of(item) for item in written]
    if not isinstance(written, Mapping):
        return written
    if len(written) == 1:
        ((key, value),) = written.items()
        readers: dict[str, Callable[[str], Any]] = {
            "$float": float,
            "$bytes": base64.b64decode,
            "$datetime": dt.datetime.fromisoformat,
            "$date": dt.date.fromisoformat,
        }
        if key in readers:
            return readers[key](value)
        if key == "$dict":
            return {name: _value_of(item) for name, item in value.items()}
    return {key: _value_of(item) for key, item in written.items()}
