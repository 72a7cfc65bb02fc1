from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gristmill import model_signature as core
from gristmill.errors import ModelError, SchemaError, SpecError
from gristmill.models.custom import inference_api
from gristmill.models.signature import Feature, Signature
from gristmill.registry.signing import inferred, sample_of, signed
from gristmill.registry.subject import Subject, subject_of
from gristmill.storage.storage import Storage

K = core.ParamSpec(name="k", dtype=core.DataType.INT8, default_value=1)
SAMPLE = pd.DataFrame({"a": [1.5, 2.5], "b": [True, False], "note": ["x", "y"]})


class Model:
    @inference_api(inputs={"A": "any"})
    def predict(self, df: Any, *, times: int = 2) -> Any:
        return pd.DataFrame({"label": df["A"] > times, "vector": [[1.0, 2.0]] * len(df)})

    @inference_api(outputs={"n": "int64"})
    def fails(self, df: Any) -> Any:
        raise ValueError("not today")


@pytest.fixture
def subject(storage: Storage) -> Subject:
    return subject_of(Model(), storage)


def test_what_the_user_says_goes_before_what_a_method_declares(subject: Subject) -> None:
    text = core.ModelSignature(outputs=[core.FeatureSpec(name="text", dtype=core.DataType.STRING)])
    found = signed(subject, {"predict": text})
    assert found["predict"].inputs == (Feature("A", pa.null()),)
    assert found["predict"].outputs == (Feature("text", pa.string()),)
    assert found["predict"].params == subject.functions["predict"].params
    assert found["fails"] == subject.functions["fails"]


def test_signatures_of_mlflow_are_taken(subject: Subject) -> None:
    from mlflow.models import infer_signature

    found = signed(subject, {"predict": infer_signature(pd.DataFrame({"A": [1.5]}), pd.DataFrame({"label": [True]}))})
    assert found["predict"].outputs == (Feature("label", pa.bool_()),)


@pytest.mark.parametrize(
    ("signatures", "problem"),
    [
        ({"nix": Signature()}, r"signatures\.nix: the model has no such function; it has: predict, fails"),
        ({"predict": core.ModelSignature()}, r"signatures\.predict: the signature is empty"),
        ({"predict": "text"}, "give a ModelSignature"),
        ([Signature()], "give a dict by function"),
        ({"predict": core.ModelSignature(params=[K])}, "no keyword-only parameter 'k'.* it takes: times"),
    ],
)
def test_wrong_signatures_are_refused(subject: Subject, signatures: Any, problem: str) -> None:
    with pytest.raises(SpecError, match=problem):
        signed(subject, signatures)


def test_an_example_shows_what_is_open(subject: Subject, storage: Storage) -> None:
    sample = sample_of(SAMPLE)
    found = inferred(subject, "predict", subject.functions["predict"], sample, storage)
    assert found.inputs == (Feature("A", pa.float64()),)
    assert found.outputs == (Feature("label", pa.bool_()), Feature("vector", pa.list_(pa.float64())))
    known = inferred(subject, "fails", subject.functions["fails"], sample, storage)  # it need not run
    assert [feature.name for feature in known.inputs or ()] == ["a", "b", "note"]


def test_a_function_that_fails_on_the_example_is_named(subject: Subject, storage: Storage) -> None:
    with pytest.raises(ModelError, match="function 'fails' fails on the sample_input_data: ValueError: not today"):
        inferred(subject, "fails", Signature(), sample_of(SAMPLE), storage)


def test_an_example_without_a_column_is_refused(subject: Subject, storage: Storage) -> None:
    with pytest.raises(SchemaError, match="lacks 1 of the 1 columns"):
        inferred(subject, "predict", subject.functions["predict"], sample_of([{"b": 1}]), storage)


def test_an_example_needs_rows() -> None:
    assert sample_of(None) is None
    assert sample_of(np.zeros((100, 2))).shape == (10, 2)
    with pytest.raises(SpecError, match="at least one row"):
        sample_of(SAMPLE.iloc[:0])
    with pytest.raises(ModelError, match="cannot be read as rows"):
        sample_of(7)
