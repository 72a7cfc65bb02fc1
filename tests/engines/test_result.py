import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from gristmill.engines.result import to_output
from gristmill.models.signature import Feature

ROWS = 3
SAME = {"a": [1, 2, 3], "b": ["x", "y", None]}


@pytest.mark.parametrize(
    "result",
    [
        pa.table(SAME),
        pa.RecordBatch.from_pydict(SAME),
        pd.DataFrame(SAME, index=[7, 7, 9]),
        pl.DataFrame(SAME),
        SAME,
        [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3}],
        {"a": np.array([1, 2, 3]), "b": pd.Series(["x", "y", None])},
        pa.concat_tables([pa.table(SAME).slice(0, 1), pa.table(SAME).slice(1)]),
    ],
)
def test_columns_with_names_keep_them(result: object) -> None:
    output = to_output(result, ROWS)
    assert output.to_pydict() == SAME
    assert output.schema.field("a").type == pa.int64()


@pytest.mark.parametrize(
    "result", [np.array([1, 2, 3]), [1, 2, 3], pa.array([1, 2, 3]), pd.Series([1, 2, 3]), torch.tensor([1, 2, 3])]
)
def test_one_column_without_a_name_is_output_feature_0(result: object) -> None:
    assert to_output(result, ROWS).to_pydict() == {"output_feature_0": [1, 2, 3]}


def test_a_named_series_keeps_its_name() -> None:
    assert to_output(pd.Series([1, 2, 3], name="n"), ROWS).to_pydict() == {"n": [1, 2, 3]}
    assert to_output(pl.Series("n", [1, 2, 3]), ROWS).to_pydict() == {"n": [1, 2, 3]}


def test_a_matrix_becomes_a_column_for_each_of_its_columns() -> None:
    output = to_output(np.arange(6.0).reshape(3, 2), ROWS)
    assert output.to_pydict() == {"output_feature_0": [0.0, 2.0, 4.0], "output_feature_1": [1.0, 3.0, 5.0]}
    assert to_output(pd.DataFrame(np.arange(6.0).reshape(3, 2)), ROWS) == output


def test_more_dimensions_become_lists() -> None:
    output = to_output(np.arange(12).reshape(3, 2, 2), ROWS)
    assert output.column(0).to_pylist()[1] == [[4, 5], [6, 7]]
    assert to_output({"v": np.arange(6).reshape(3, 2)}, ROWS).column(0).type == pa.list_(pa.int64(), 2)


def test_a_numpy_array_is_not_copied() -> None:
    array = np.arange(1_000.0)
    assert to_output(array, 1_000).column(0).buffers()[1].address == array.ctypes.data


@pytest.mark.parametrize(
    "result",
    [np.zeros(2), [1, 2], {"a": [1, 2, 3, 4]}, pd.DataFrame({"a": [1]}), pa.table({"a": []}), [], pd.DataFrame()],
)
def test_another_number_of_rows_is_an_error(result: object) -> None:
    with pytest.raises(ValueError, match=r"returned (\d rows|no columns) for a batch of 3"):
        to_output(result, ROWS)


@pytest.mark.parametrize("result", [None, "abc", 3, b"abc", np.float64(3)])
def test_what_is_no_column_is_an_error(result: object) -> None:
    with pytest.raises(TypeError, match="the model returned"):
        to_output(result, ROWS)


def test_values_of_several_types_in_one_column_are_an_error() -> None:
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError)):
        to_output(pd.DataFrame({"a": [1, "x", 3]}), ROWS)


def test_two_columns_of_one_name_are_an_error() -> None:
    with pytest.raises(ValueError, match="two columns named 'a'"):
        to_output(pd.DataFrame([[1, 2]] * 3, columns=["a", "a"]), ROWS)


DECLARED = (Feature("Label", pa.string()), Feature("score", pa.float64()))


def test_declared_outputs_give_the_order_the_names_and_the_types() -> None:
    output = to_output({"SCORE": [1, 2, 3], "label": ["a", "b", "c"]}, ROWS, DECLARED)
    assert output.schema == pa.schema([("Label", pa.string()), ("score", pa.float64())])
    assert output.to_pydict()["score"] == [1.0, 2.0, 3.0]


def test_columns_without_names_take_the_declared_ones() -> None:
    declared = (Feature("x", pa.float32()), Feature("y", pa.float32()))
    output = to_output(np.arange(6.0).reshape(3, 2), ROWS, declared)
    assert output.schema == pa.schema([("x", pa.float32()), ("y", pa.float32())])


def test_a_single_declared_output_takes_a_matrix_as_lists() -> None:
    declared = (Feature("embedding", pa.list_(pa.float32())),)
    output = to_output(np.arange(6.0).reshape(3, 2), ROWS, declared)
    assert output.to_pydict() == {"embedding": [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]}
    assert output.schema.field(0).type == pa.list_(pa.float32())


def test_dicts_fit_a_declared_group() -> None:
    declared = (Feature("outputs", pa.list_(pa.struct([("label", pa.string()), ("score", pa.float64())]))),)
    result = {"outputs": [[{"label": "a", "score": 1}], [], None]}
    assert to_output(result, ROWS, declared).column(0).to_pylist() == [[{"label": "a", "score": 1.0}], [], None]
    group = (Feature("group", pa.struct([("a", pa.int64())])),)
    assert to_output([{"a": 1}, {"a": 2}, {"a": 3}], ROWS, group).column(0).to_pylist()[2] == {"a": 3}


@pytest.mark.parametrize("result", [{"label": ["a"] * 3}, {"label": ["a"] * 3, "score": [1] * 3, "more": [1] * 3}])
def test_other_columns_than_declared_are_an_error(result: object) -> None:
    with pytest.raises(ValueError, match="its outputs are declared as Label, score"):
        to_output(result, ROWS, DECLARED)


def test_a_value_that_does_not_fit_the_declared_type_is_an_error_that_names_it() -> None:
    with pytest.raises(pa.ArrowInvalid, match="'n' is declared as int64"):
        to_output(np.array([0.5, 1, 2]), ROWS, (Feature("n", pa.int64()),))
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError)):
        to_output([1, "x", 3], ROWS, (Feature("n", pa.int64()),))


def test_zero_rows_stay_zero_rows() -> None:
    assert to_output(np.zeros((0, 2)), 0).num_columns == 2
    assert to_output([], 0, (Feature("n", pa.int64()),)).schema == pa.schema([("n", pa.int64())])


def test_a_result_of_any_length_is_taken_where_no_number_of_rows_is_asked_for() -> None:
    assert to_output({"a": [1, 2, 3]}, None).num_rows == 3
    with pytest.raises(ValueError, match="different lengths"):
        to_output({"a": [1], "b": [1, 2]}, None)


def test_an_empty_result_of_any_form_has_the_declared_columns() -> None:
    declared = (Feature("a", pa.int64()), Feature("b", pa.string()))
    for nothing in ([], pd.DataFrame(), {"a": []}):
        assert to_output(nothing, None, declared).schema == pa.schema({"a": pa.int64(), "b": pa.string()})
