"""Signatures to MLflow and back; MLflow itself reads and writes its side."""

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gristmill.mlflow.conversion import from_mlflow_dict, to_mlflow
from gristmill.models.signature import Feature, Param, Signature

CHUNKS = pa.list_(pa.struct([("text", pa.string()), ("timestamp", pa.list_(pa.float64()))]))
SIGNATURE = Signature(
    inputs=(
        *(Feature(str(kind), kind) for kind in (pa.bool_(), pa.int32(), pa.int64(), pa.float32(), pa.float64())),
        Feature("größe", pa.string()),
        Feature("audio", pa.binary()),
        Feature("at", pa.timestamp("us")),
        Feature("any", pa.null()),
        Feature("tags", pa.map_(pa.string(), pa.int64())),
    ),
    outputs=(
        Feature("outputs", pa.struct([("chunks", CHUNKS), ("text", pa.string())])),
        Feature("v", pa.list_(pa.int64())),
    ),
    params=(
        Param("threshold", pa.float64(), 0.5),
        Param("words", pa.list_(pa.string()), ["a", "b"]),
        Param("since", pa.timestamp("us"), dt.datetime(2026, 1, 2, 3, 4, 5)),  # noqa: DTZ001 - MLflow knows no zones
        Param("days", pa.list_(pa.timestamp("us")), [dt.datetime(2026, 1, 2)]),  # noqa: DTZ001
        Param("mode", pa.string(), None, nullable=True),
        Param("how", pa.struct([("k", pa.int64()), ("name", pa.string())]), {"k": 3, "name": "x"}),
    ),
)  # fmt: skip


def test_what_mlflow_knows_comes_back_as_it_was() -> None:
    there = to_mlflow(SIGNATURE)
    assert from_mlflow_dict(there.to_dict()) == SIGNATURE


def test_groups_are_objects_and_lists_are_arrays() -> None:
    outputs = to_mlflow(SIGNATURE).outputs
    chunks = outputs.inputs[0].type.properties[0]
    assert str(chunks) == "chunks: Array({text: string (optional), timestamp: Array(double) (optional)}) (optional)"


@pytest.mark.parametrize(
    ("kind", "wider"),
    [
        (pa.int8(), "integer"),
        (pa.uint16(), "integer"),
        (pa.uint32(), "long"),
        (pa.uint64(), "Any"),
        (pa.float16(), "float"),
        (pa.large_string(), "string"),
        (pa.binary(16), "binary"),
        (pa.date32(), "datetime"),
        (pa.dictionary(pa.int8(), pa.string()), "string"),
        (pa.timestamp("us", tz="UTC"), "Any"),
        (pa.decimal128(9, 2), "Any"),
        (pa.struct([]), "Any"),
        (pa.map_(pa.int64(), pa.int64()), "Any"),
        (pa.list_(pa.float32(), 2), "Array(float)"),
        (pa.list_(pa.list_(pa.int64())), "Array(Array(long))"),
    ],
)
def test_what_mlflow_has_not_becomes_wider(kind: pa.DataType, wider: str) -> None:
    assert repr(to_mlflow(Signature(inputs=(Feature("x", kind),))).inputs.inputs[0].type) == wider


@pytest.mark.parametrize(
    "param",
    [
        Param("salt", pa.binary(), b"x"),
        Param("since", pa.timestamp("us"), None),
        Param("words", pa.list_(pa.string()), None),
        Param("any", pa.null(), None),
        Param("nan", pa.float64(), float("nan")),
    ],
)
def test_a_param_that_mlflow_cannot_hold_is_left_out(param: Param) -> None:
    kept = Param("k", pa.int64(), 3)
    assert [spec.name for spec in to_mlflow(Signature(params=(param, kept))).params] == ["k"]


def test_a_param_of_any_kind_is_of_its_defaults_kind() -> None:
    (spec,) = to_mlflow(Signature(params=(Param("stop", pa.null(), "end"),))).params
    assert spec.dtype.name == "string"


def test_a_signature_that_says_nothing_is_none_there() -> None:
    assert to_mlflow(Signature()) is None
    assert to_mlflow(Signature(inputs=(), outputs=())) is None


def inferred(*examples: Any, **more: Any) -> Signature:
    from mlflow.models import infer_signature

    return from_mlflow_dict(infer_signature(*examples, **more).to_dict())


def test_signatures_that_mlflow_infers_are_read() -> None:
    frame = pd.DataFrame({"a": [1.5], "b": ["x"], "c": [[1, 2]]})
    found = inferred(frame, np.array([1, 2]), params={"k": 3})
    assert [(feature.name, str(feature.type)) for feature in found.inputs or ()] == [
        ("a", "double"),
        ("b", "string"),
        ("c", "list<item: int64>"),
    ]
    assert found.outputs == (Feature("output_feature_0", pa.int64()),)
    assert found.params == (Param("k", pa.int64(), 3),)


@pytest.mark.parametrize(
    ("example", "columns"),
    [
        (np.zeros((4, 2), "float32"), {"output_feature_0": pa.float32(), "output_feature_1": pa.float32()}),
        (np.zeros((4, 2, 3)), {"output_feature_0": pa.list_(pa.list_(pa.float64(), 3), 2)}),
        ({"a": np.zeros((4, 2)), "b": np.zeros(4, bool)}, {"a": pa.list_(pa.float64(), 2), "b": pa.bool_()}),
        (["x"], {"output_feature_0": pa.string()}),
    ],
)
def test_arrays_are_the_columns_that_a_job_writes(example: Any, columns: dict[str, pa.DataType]) -> None:
    found = inferred(np.zeros((4, 3)), example)
    assert found.inputs is None  # nobody knows what the three columns are called
    assert found.outputs == tuple(Feature(name, kind) for name, kind in columns.items())
