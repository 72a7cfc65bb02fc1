from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gristmill import model_signature as core
from gristmill.errors import ModelError, SpecError
from gristmill.models.params import check_params
from gristmill.models.signature import Feature, Param, Signature

DataType = core.DataType
TEXT = core.FeatureSpec(name="text", dtype=DataType.STRING)


def test_the_signature_of_a_transcriber() -> None:
    chunks = core.FeatureGroupSpec(
        name="chunks",
        specs=[core.FeatureSpec(name="timestamp", dtype=DataType.DOUBLE, shape=(2,)), TEXT],
        shape=(-1,),
    )
    signature = core.ModelSignature(
        inputs=[core.FeatureSpec(name="audio", dtype=DataType.STRING)],
        outputs=[core.FeatureGroupSpec(name="outputs", specs=[TEXT, chunks])],
    )
    parts = pa.list_(pa.struct([("timestamp", pa.list_(pa.float64(), 2)), ("text", pa.string())]))
    outputs = pa.struct([("text", pa.string()), ("chunks", parts)])
    assert signature.to_signature() == Signature((Feature("audio", pa.string()),), (Feature("outputs", outputs),))


@pytest.mark.parametrize("kind", DataType)
def test_every_type_has_an_arrow_type(kind: DataType) -> None:
    names = {"BOOL": "bool", "BYTES": "binary", "TIMESTAMP_NTZ": "timestamp[us]"}
    assert str(kind.arrow) == names.get(kind.value, kind.value.lower())


def test_shapes_are_lists_from_the_outer_to_the_inner() -> None:
    image = core.FeatureSpec(name="image", dtype=DataType.UINT8, shape=(-1, 28, 3))
    assert image.arrow == pa.list_(pa.list_(pa.list_(pa.uint8(), 3), 28))


def test_params_have_defaults_that_are_merged_at_every_depth() -> None:
    inner = core.ParamGroupSpec(name="beam", specs=[core.ParamSpec(name="size", dtype=DataType.INT64, default_value=4)])
    switch = core.ParamSpec(name="x", dtype=DataType.BOOL, default_value=True)
    params = [
        core.ParamSpec(name="temperature", dtype=DataType.DOUBLE, default_value=1),
        core.ParamSpec(name="stop", dtype=DataType.STRING, default_value=["."], shape=(-1,)),
        core.ParamSpec(name="seed", dtype=DataType.INT64, default_value=None),
        core.ParamGroupSpec(name="how", specs=[inner, switch]),
        core.ParamGroupSpec(name="many", specs=[inner], shape=(-1,)),
    ]
    signature = core.ModelSignature(params=params).to_signature()
    assert check_params({"HOW": {"beam": {"size": 8}}}, signature) == {
        "temperature": 1.0,
        "stop": ["."],
        "seed": None,
        "how": {"beam": {"size": 8}, "x": True},
        "many": [],
    }


LOUD = core.FeatureSpec(name="TEXT", dtype=DataType.STRING)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: core.FeatureSpec(name="", dtype=DataType.STRING), "FeatureSpec.name"),
        (lambda: core.FeatureSpec(name="x", dtype="TEXT"), "FeatureSpec.dtype"),
        (lambda: core.FeatureSpec(name="x", dtype=DataType.STRING, shape=()), "FeatureSpec.shape: must be lengths"),
        (lambda: core.FeatureSpec(name="x", dtype=DataType.STRING, shape=(-2,)), "must be lengths"),
        (lambda: core.FeatureSpec(name="x", dtype=DataType.STRING, nulls=1), "nulls: is not a field"),
        (lambda: core.FeatureGroupSpec(name="x", specs=[]), "has no fields"),
        (lambda: core.FeatureGroupSpec(name="x", specs=[TEXT, TEXT]), "two fields named 'text'"),
        (lambda: core.ModelSignature(inputs=[TEXT, LOUD]), "two entries named 'text'"),
        (lambda: core.ParamSpec(name="k", dtype=DataType.INT8, default_value=1000), "default_value: must be int8"),
        (lambda: core.ParamSpec(name="k", dtype=DataType.INT8, default_value=[1], shape=(2,)), "must have 2 items"),
    ],
)
def test_what_cannot_be_is_refused(make: Any, problem: str) -> None:
    with pytest.raises(SpecError, match=problem):
        make()


def test_a_signature_is_inferred_from_examples() -> None:
    found = core.infer_signature(
        pd.DataFrame({"a": [1], "b": ["x"]}), np.zeros((1, 2), "float32"), params={"k": 3, "words": ["a"]}
    )
    assert found.inputs == (Feature("a", pa.int64()), Feature("b", found.inputs[1].type))
    assert pa.types.is_string(found.inputs[1].type) or pa.types.is_large_string(found.inputs[1].type)
    assert found.outputs == (Feature("output_feature_0", pa.float32()), Feature("output_feature_1", pa.float32()))
    assert found.params == (Param("k", pa.int64(), 3), Param("words", pa.list_(pa.string()), ["a"]))


def test_params_are_inferred_from_their_specs_too() -> None:
    spec = core.ParamSpec(name="k", dtype=DataType.INT8, default_value=1)
    assert core.infer_signature([{"x": 1}], params=[spec]).params == (spec.param,)
    with pytest.raises(SpecError, match="params: give defaults by name"):
        core.infer_signature([{"x": 1}], params=["k"])


def test_an_example_needs_rows() -> None:
    with pytest.raises(ModelError, match="input_data: an example needs at least one row"):
        core.infer_signature([])


def test_params_are_inferred_from_numpy_values() -> None:
    params = core.infer_signature([1], params={"k": np.int64(3), "weights": np.array([1.0])}).params
    assert params == (Param("k", pa.int64(), 3), Param("weights", pa.list_(pa.float64()), [1.0]))


@pytest.mark.parametrize("params", [5, "k", {5: 1}])
def test_params_that_are_none_are_refused(params: Any) -> None:
    with pytest.raises(SpecError, match="params: give defaults by name"):
        core.infer_signature([1], params=params)
