from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pytest

from gristmill.errors import ModelError
from gristmill.models.custom import (
    CustomModel,
    ModelContext,
    frame_kind,
    inference_api,
    inference_functions,
    partitioned_api,
    signature_of,
)
from gristmill.models.signature import Feature, Param

if TYPE_CHECKING:
    from somewhere import Frame


class Base(CustomModel):
    @inference_api
    def predict(self, df: pd.DataFrame, *, threshold: float = 0, labels: list[str] | None = None) -> pd.DataFrame:
        return df

    def helper(self) -> None: ...


class Model(Base):
    @inference_api(inputs={"text": "string"}, outputs={"label": "INT64", "score": float})
    def encode(self, table: pa.Table) -> pa.Table:
        return table


def test_a_class_offers_its_marked_methods_and_those_it_inherits() -> None:
    assert list(inference_functions(Model)) == ["predict", "encode"]
    assert list(inference_functions(Model())) == ["predict", "encode"]
    assert inference_functions(int) == {}


def test_an_override_that_is_not_marked_is_no_function() -> None:
    class Silent(Base):
        def predict(self, df: Any, *, threshold: float = 0, labels: Any = None) -> Any:
            return df

    assert inference_functions(Silent) == {}


def test_declared_columns_stand_in_the_signature() -> None:
    signature = signature_of(inference_functions(Model)["encode"])
    assert signature.inputs == (Feature("text", pa.string()),)
    assert signature.outputs == (Feature("label", pa.int64()), Feature("score", pa.float64()))


def test_keyword_only_parameters_are_params_with_the_types_of_their_annotations() -> None:
    signature = signature_of(inference_functions(Model)["predict"])
    assert signature.params == (
        Param("threshold", pa.float64(), 0.0),
        Param("labels", pa.list_(pa.string()), None, nullable=True),
    )
    assert (signature.inputs, signature.outputs) == (None, None)


def test_a_param_without_a_default_is_refused() -> None:
    class Strict:
        @inference_api
        def predict(self, df: Any, *, threshold: float) -> Any: ...

    with pytest.raises(ModelError, match=r"'threshold' of .*Strict\.predict needs a default"):
        signature_of(inference_functions(Strict)["predict"])


def test_a_default_that_does_not_fit_its_annotation_is_refused() -> None:
    class Wrong:
        @inference_api
        def predict(self, df: Any, *, threshold: float = "high") -> Any: ...  # type: ignore[assignment]

    with pytest.raises(ModelError, match=r"threshold.*its default: must be double"):
        signature_of(inference_functions(Wrong)["predict"])


def test_the_first_argument_says_what_frame_is_wanted() -> None:
    def text(self: Any, batch: "pa.RecordBatch") -> None: ...
    def unknown(self: Any, batch: "Frame", *, n: int = 1) -> None: ...
    def bare(df): ...  # type: ignore[no-untyped-def]

    assert frame_kind(inference_functions(Model)["encode"]) == "table"
    assert frame_kind(inference_functions(Model)["predict"]) == "pandas"
    assert frame_kind(text) == "record_batch"
    assert frame_kind(unknown) == "pandas"
    assert frame_kind(bare) == "pandas"


def test_an_annotation_for_type_checkers_only_does_not_hide_the_params() -> None:
    def predict(df: "Frame", *, n: int = 1) -> None: ...

    assert signature_of(predict).params == (Param("n", pa.int64(), 1),)


def test_a_type_that_is_none_is_refused_where_the_class_is_written() -> None:
    with pytest.raises(ModelError, match=r"outputs\.label: 'number' is not a type"):
        inference_api(outputs={"label": "number"})


def test_a_context_gives_models_and_paths_and_names_what_it_has() -> None:
    context = ModelContext(models={"a": 1}, artifacts={"f": "/x"})
    model = CustomModel(context)
    assert (model.context.model_ref("a"), model.context.path("f")) == (1, "/x")
    with pytest.raises(ModelError, match=r"no model 'b'; it has: a"):
        context.model_ref("b")
    with pytest.raises(ModelError, match=r"no artifact 'b'; it has: none"):
        CustomModel().context.path("b")


@pytest.mark.parametrize("spelled", ["table_function", "TABLE_FUNCTION", " Table "])
def test_a_table_function_is_marked_by_its_type_in_any_case(spelled: str) -> None:
    @inference_api(function_type=spelled)
    def predict(df: pd.DataFrame) -> pd.DataFrame:
        return df

    assert signature_of(predict).kind == "table"


def test_a_function_is_scalar_unless_it_says_otherwise() -> None:
    @inference_api(function_type="FUNCTION")
    def predict(df: pd.DataFrame) -> pd.DataFrame:
        return df

    assert signature_of(predict).kind == signature_of(inference_functions(Model)["encode"]).kind == "scalar"


def test_a_partitioned_method_declares_its_columns_and_params_like_any_other() -> None:
    class Totals:
        @partitioned_api(inputs={"price": "double"}, outputs={"total": "double"})
        def total(self, df: pd.DataFrame, *, scale: float = 1.0) -> pd.DataFrame:
            return df

        @partitioned_api
        def count(self, df: pd.DataFrame) -> pd.DataFrame:
            return df

    total, count = map(signature_of, inference_functions(Totals).values())
    assert (total.kind, count.kind) == ("partitioned", "partitioned")
    assert total.inputs == (Feature("price", pa.float64()),)
    assert [param.name for param in total.params] == ["scale"]


def test_another_function_type_is_refused_where_the_class_is_written() -> None:
    with pytest.raises(ModelError, match=r"function_type='PARTITIONED' must be .*@partitioned_api"):
        inference_api(function_type="PARTITIONED")
