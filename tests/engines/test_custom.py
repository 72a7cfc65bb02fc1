from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from gristmill.engines.custom import FrameModel, describe_custom, describe_function
from gristmill.errors import SchemaError
from gristmill.models.custom import CustomModel, inference_api

BATCH = pa.RecordBatch.from_pydict({"ID": [1, 2, 3], "x": [0.5, None, 2.0], "note": ["a", "b", None]})


class Model(CustomModel):
    @inference_api
    def predict(self, df: pd.DataFrame, *, factor: float = 2.0) -> pd.DataFrame:
        return pd.DataFrame({"y": df["x"] * factor})

    @inference_api(inputs={"X": "double", "id": "string"}, outputs={"z": "string"})
    def describe(self, df: Any) -> Any:
        assert list(df.columns) == ["X", "id"]
        return df["id"] + "!"

    @inference_api
    def fast(self, batch: pa.RecordBatch) -> Any:
        assert isinstance(batch, pa.RecordBatch)
        return {"double": pc.multiply(batch.column("ID"), 2)}

    @inference_api
    def table(self, table: pa.Table) -> Any:
        return table.select(["note"]).rename_columns(["text"])

    @inference_api
    def short(self, df: Any) -> Any:
        return df.head(1)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("predict", {"y": [1.0, None, 4.0]}),
        ("describe", {"z": ["1!", "2!", "3!"]}),
        ("fast", {"double": [2, 4, 6]}),
        ("table", {"text": ["a", "b", None]}),
    ],
)
def test_a_function_is_given_the_frame_it_asks_for(function: str, expected: dict[str, Any], context: Any) -> None:
    model = FrameModel(getattr(Model(), function), context(BATCH, function=function))
    assert model.infer(BATCH).to_pydict() == expected


def test_params_reach_the_function(context: Any) -> None:
    model = FrameModel(Model().predict, context(BATCH, params={"factor": 10.0}))
    assert model.infer(BATCH).to_pydict() == {"y": [5.0, None, 20.0]}


def test_a_function_that_returns_another_number_of_rows_fails(context: Any) -> None:
    with pytest.raises(ValueError, match="returned 1 rows for a batch of 3"):
        FrameModel(Model().short, context(BATCH)).infer(BATCH)


def test_declared_inputs_that_are_missing_are_named_when_the_model_is_loaded(context: Any) -> None:
    with pytest.raises(SchemaError, match="lacks 1 of the 2 columns that the model needs: X"):
        FrameModel(Model().describe, context(BATCH.select(["ID", "note"])))


def test_a_function_may_change_its_frame_without_changing_the_rows(context: Any) -> None:
    def blank(df: Any) -> Any:
        df.loc[:, "x"] = 0.0
        return df["x"]

    only = BATCH.select(["x"])
    assert FrameModel(blank, context(only)).infer(only).column(0).to_pylist() == [0.0, 0.0, 0.0]
    assert only.column(0).to_pylist() == [0.5, None, 2.0]


def test_a_class_with_several_functions_has_no_default_one() -> None:
    info = describe_custom(Model)
    assert list(info.functions) == ["predict", "describe", "fast", "table", "short"]
    assert info.default_function is None
    assert info.functions["predict"].params[0].default == 2.0
    assert info.preload == ("pandas", __name__)


def test_a_class_with_one_function_runs_it() -> None:
    class Single:
        @inference_api
        def encode(self, batch: pa.RecordBatch) -> Any: ...

    info = describe_custom(Single())
    assert (info.default_function, info.preload) == ("encode", (__name__,))


def test_a_plain_function_runs_under_its_name_and_a_lambda_as_predict() -> None:
    def score(df: Any, *, limit: int = 3) -> Any: ...

    assert describe_function(score).default_function == "score"
    assert [param.name for param in describe_function(score).functions["score"].params] == ["limit"]
    assert describe_function(lambda df: df).default_function == "predict"
