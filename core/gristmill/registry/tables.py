"""Models, versions and functions as tables."""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from gristmill.inputs.frame import Frame
from gristmill.models.signature import Feature, Param, Signature

__all__ = ["functions_frame", "models_frame", "moment", "versions_frame"]

_TIME = pa.timestamp("ms", tz="UTC")
_MODELS = pa.schema(
    [
        ("name", pa.string()),
        ("created_on", _TIME),
        ("comment", pa.string()),
        ("default_version_name", pa.string()),
        ("versions", pa.list_(pa.string())),
        ("aliases", pa.list_(pa.string())),
    ]
)
_VERSIONS = pa.schema(
    [
        ("name", pa.string()),
        ("number", pa.int64()),
        ("created_on", _TIME),
        ("comment", pa.string()),
        ("is_default_version", pa.bool_()),
        ("aliases", pa.list_(pa.string())),
        ("status", pa.string()),
        ("metrics", pa.string()),
        ("digest", pa.string()),
    ]
)
_FUNCTIONS = pa.schema(
    [
        ("name", pa.string()),
        ("function_type", pa.string()),
        ("is_default", pa.bool_()),
        ("inputs", pa.string()),
        ("outputs", pa.string()),
        ("params", pa.string()),
    ]
)


def moment(milliseconds: int | None) -> dt.datetime | None:
    """A time as MLflow tells it, in UTC."""
    return None if milliseconds is None else dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)


def models_frame(rows: Iterable[Mapping[str, Any]]) -> Frame:
    """Models, one a row."""
    return Frame(pa.Table.from_pylist([dict(row) for row in rows], schema=_MODELS))


def versions_frame(rows: Iterable[Mapping[str, Any]]) -> Frame:
    """Versions of a model, one a row."""
    return Frame(pa.Table.from_pylist([dict(row) for row in rows], schema=_VERSIONS))


def functions_frame(functions: Mapping[str, Signature], default: str | None) -> Frame:
    """Functions of a version, one a row; their signatures as text.

    Example:
        >>> functions_frame({"predict": Signature(outputs=(Feature("label", pa.int64()),))}, "predict").collect()[0]
        {'name': 'predict', 'function_type': 'scalar', 'is_default': True, 'inputs': None, 'outputs': 'label: int64', \
'params': None}
    """
    rows = [
        {
            "name": name,
            "function_type": signature.kind,
            "is_default": name == default,
            "inputs": _columns(signature.inputs),
            "outputs": _columns(signature.outputs),
            "params": ", ".join(map(_param, signature.params)) or None,
        }
        for name, signature in functions.items()
    ]
    return Frame(pa.Table.from_pylist(rows, schema=_FUNCTIONS))


def _columns(features: tuple[Feature, ...] | None) -> str | None:
    if features is None:
        return None
    return ", ".join(f"{feature.name}: {_kind(feature.type)}" for feature in features)


def _param(param: Param) -> str:
    return f"{param.name}: {_kind(param.type)} = {param.default!r}"


def _kind(kind: pa.DataType) -> str:
    return "any" if pa.types.is_null(kind) else str(kind)
