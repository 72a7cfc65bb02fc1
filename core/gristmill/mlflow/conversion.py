"""Signatures as MLflow writes them, and back.

MLflow's types are fewer than Arrow's: a type that it has not becomes the next wider one, or `any`; lists lose their
length, fields of groups stand in alphabetical order, and params of a kind that MLflow does not know are left out. What
a model logged here takes exactly stands beside it (`gristmill.mlflow.stored`); MLflow's form is for MLflow and for
models of its own.
"""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from gristmill.models.signature import Feature, Param, Signature

__all__ = ["from_mlflow_dict", "to_mlflow", "to_mlflow_dict"]

_TO_ARROW = {
    "any": pa.null(),
    "binary": pa.binary(),
    "boolean": pa.bool_(),
    "datetime": pa.timestamp("us"),
    "double": pa.float64(),
    "float": pa.float32(),
    "integer": pa.int32(),
    "long": pa.int64(),
    "string": pa.string(),
}
_TENSORS = {
    "bool": pa.bool_(),
    "str": pa.string(),
    **{name: getattr(pa, name)() for name in ("float16", "float32", "float64")},
    **{f"{sign}int{bits}": getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
_FROM_ARROW = {
    **dict.fromkeys((pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16()), "integer"),
    **dict.fromkeys((pa.int64(), pa.uint32()), "long"),
    **dict.fromkeys((pa.float16(), pa.float32()), "float"),
    **dict.fromkeys((pa.string(), pa.large_string(), pa.string_view()), "string"),
    **dict.fromkeys((pa.binary(), pa.large_binary(), pa.binary_view()), "binary"),
    **dict.fromkeys((pa.date32(), pa.date64()), "datetime"),
    pa.bool_(): "boolean",
    pa.float64(): "double",
}


def to_mlflow(signature: Signature) -> Any:
    """The signature as `mlflow.models.ModelSignature`; None where it says nothing that MLflow knows."""
    from mlflow.models import ModelSignature

    written = to_mlflow_dict(signature)
    return ModelSignature.from_dict(written) if any(written.values()) else None


def to_mlflow_dict(signature: Signature) -> dict[str, str | None]:
    """The signature as the entry `signature` of an `MLmodel` file.

    Example:
        >>> to_mlflow_dict(Signature(outputs=(Feature("label", pa.int8()),)))["outputs"]
        '[{"type": "integer", "name": "label", "required": true}]'
    """
    columns = {"inputs": signature.inputs, "outputs": signature.outputs}
    found: dict[str, str | None] = {
        what: json.dumps([{**_column(feature.type), "name": feature.name, "required": True} for feature in features])
        if features
        else None
        for what, features in columns.items()
    }
    params = [written for param in signature.params if (written := _param(param)) is not None]
    return found | {"params": json.dumps(params) if params else None}


def _column(kind: pa.DataType) -> dict[str, Any]:
    checks = pa.types
    if checks.is_list(kind) or checks.is_large_list(kind) or checks.is_fixed_size_list(kind):
        return {"type": "array", "items": _column(kind.value_type)}
    if checks.is_struct(kind):
        names = [field.name for field in kind]
        if not names or len(set(names)) < len(names):
            return {"type": "any"}
        return {
            "type": "object",
            "properties": {field.name: {**_column(field.type), "required": not field.nullable} for field in kind},
        }
    if checks.is_map(kind) and checks.is_string(kind.key_type):
        return {"type": "map", "values": _column(kind.item_type)}
    if checks.is_dictionary(kind):
        return _column(kind.value_type)
    if checks.is_fixed_size_binary(kind):
        return {"type": "binary"}
    if checks.is_timestamp(kind) and kind.tz is None:
        return {"type": "datetime"}
    return {"type": _FROM_ARROW.get(kind, "any")}


def _param(param: Param) -> dict[str, Any] | None:
    """The param as MLflow writes it; None where it has no form for it."""
    from mlflow.exceptions import MlflowException
    from mlflow.types.schema import ParamSpec

    kind, shape = param.type, None
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        kind, shape = kind.value_type, [-1]
    if pa.types.is_null(kind):
        kind = _kind_of(param.default if shape is None else next(iter(param.default or ()), None))
    default = param.default.isoformat() if isinstance(param.default, dt.date) else param.default
    try:
        spec = ParamSpec.from_json_dict(**_column(kind), name=param.name, default=default, shape=shape)
        written: dict[str, Any] = spec.to_dict()
        json.dumps(written, allow_nan=False)
    except (MlflowException, AttributeError, KeyError, TypeError, ValueError):
        return None
    return written


def _kind_of(value: Any) -> pa.DataType:
    kinds = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    return kinds.get(type(value), pa.null())


def from_mlflow_dict(written: Mapping[str, Any]) -> Signature:
    """The signature that the entry `signature` of an `MLmodel` file holds; what it does not say is left open.

    Columns without names are inputs that nobody knows, and outputs called as a job calls them; an array without names
    of two dimensions is as many outputs as it is wide.

    Example:
        >>> tensor = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}
        >>> [feature.name for feature in from_mlflow_dict({"outputs": json.dumps([tensor])}).outputs]
        ['output_feature_0', 'output_feature_1']
    """
    inputs, outputs, params = (
        None if not written.get(name) else json.loads(written[name]) for name in ("inputs", "outputs", "params")
    )
    return Signature(
        inputs=_inputs(inputs), outputs=_outputs(outputs), params=tuple(_param_of(param) for param in params or ())
    )


def _inputs(columns: Sequence[Mapping[str, Any]] | None) -> tuple[Feature, ...] | None:
    if not columns or any(column.get("name") is None for column in columns):
        return None
    # a column that may be missing is none that a job's input must have
    needed = [column for column in columns if column.get("required", True)]
    return tuple(Feature(str(column["name"]), _type_of(column)) for column in needed)


def _outputs(columns: Sequence[Mapping[str, Any]] | None) -> tuple[Feature, ...] | None:
    if not columns:
        return None
    if len(columns) == 1 and columns[0].get("name") is None and columns[0]["type"] == "tensor":
        spec = columns[0]["tensor-spec"]
        if len(spec["shape"]) == 2:
            width, item = spec["shape"][1], _TENSORS.get(spec["dtype"], pa.null())
            return None if width < 0 else tuple(Feature(_unnamed(place), item) for place in range(width))
    names = [column.get("name") for column in columns]
    return tuple(
        Feature(_unnamed(place) if name is None else str(name), _type_of(column))
        for place, (name, column) in enumerate(zip(names, columns, strict=True))
    )


def _unnamed(place: int) -> str:
    return f"output_feature_{place}"


def _type_of(column: Mapping[str, Any]) -> pa.DataType:
    kind = column.get("type")
    if kind == "array":
        return pa.list_(_type_of(column["items"]))
    if kind == "object":
        return pa.struct([(name, _type_of(inner)) for name, inner in column["properties"].items()])
    if kind == "map":
        return pa.map_(pa.string(), _type_of(column["values"]))
    if kind == "sparkml_vector":
        return pa.list_(pa.float64())
    if kind == "tensor":
        spec = column["tensor-spec"]
        found = _TENSORS.get(spec["dtype"], pa.null())
        for size in reversed(spec["shape"][1:]):
            found = pa.list_(found, size)
        return found
    return _TO_ARROW.get(str(kind), pa.null())


def _param_of(written: Mapping[str, Any]) -> Param:
    kind = _type_of({**written, "type": written.get("type", written.get("dtype"))})
    default = written.get("default")
    if pa.types.is_timestamp(kind):
        default = _moments(default)
    if written.get("shape"):
        kind = pa.list_(kind)
    return Param(str(written["name"]), kind, default, nullable=default is None)


def _moments(written: Any) -> Any:
    if isinstance(written, list):
        return [_moments(item) for item in written]
    return dt.datetime.fromisoformat(written) if isinstance(written, str) else written
