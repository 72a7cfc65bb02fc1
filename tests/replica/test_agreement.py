"""Fitting results to the columns that all workers agree on."""

import datetime as dt
import threading

import pyarrow as pa
import pytest

from gristmill.replica.agreement import Agreement, conform, is_complete
from gristmill.replica.messages import Event, Proposed


def batch(values: list[object], kind: pa.DataType | None = None) -> pa.RecordBatch:
    return pa.record_batch({"y": pa.array(values, kind)})


@pytest.mark.parametrize(
    ("values", "kind", "wanted"),
    [
        ([1, None], pa.int32(), pa.int64()),
        ([1, 2], pa.int64(), pa.float64()),
        ([1.0, None], pa.float64(), pa.int64()),
        ([None, None], None, pa.list_(pa.float32())),
        (["a"], pa.string(), pa.large_string()),
        ([[1, 2]], pa.list_(pa.int64()), pa.list_(pa.float64())),
        ([{"a": 1, "b": None}], pa.struct({"a": pa.int32()}), pa.struct({"a": pa.int64(), "b": pa.int64()})),
    ],
)
def test_what_loses_nothing_is_cast(values: list[object], kind: pa.DataType, wanted: pa.DataType) -> None:
    fitted, errors = conform(batch(values, kind), pa.schema({"y": wanted}))
    assert errors == {}
    assert fitted.column("y").to_pylist() == values


@pytest.mark.parametrize(
    ("values", "wanted", "failed"),
    [
        ([1.5, 2.0], pa.int64(), [0]),
        (["7", "8"], pa.int64(), [0, 1]),
        ([1, 2**40], pa.int32(), [1]),
        ([True], pa.int64(), [0]),
        ([dt.datetime.fromisoformat(moment) for moment in ("2024-01-02", "2024-01-02T03:00")], pa.date32(), [1]),
        ([{"a": 1, "c": 2}], pa.struct({"a": pa.int64(), "b": pa.int64()}), [0]),
    ],
)
def test_what_would_lose_something_is_an_error_of_that_row(
    values: list[object], wanted: pa.DataType, failed: list[int]
) -> None:
    fitted, errors = conform(batch(values), pa.schema({"y": wanted}))
    assert sorted(errors) == failed
    assert all(error.step == "output" and error.reference == "y" for error in errors.values())
    assert [fitted.column("y")[index].as_py() is None for index in failed] == [True] * len(failed)


def test_a_missing_column_is_null_and_an_extra_one_an_error() -> None:
    fitted, errors = conform(batch([1]), pa.schema({"y": pa.int64(), "z": pa.string()}))
    assert (fitted.to_pylist(), errors) == ([{"y": 1, "z": None}], {})
    _, errors = conform(batch([1]), pa.schema({"z": pa.string()}))
    assert "declare the outputs" in errors[0].message


def test_types_with_unknown_parts_are_not_proposed() -> None:
    assert not is_complete(pa.list_(pa.null()))
    assert is_complete(pa.struct({"a": pa.list_(pa.int64())}))
    said: list[Event] = []
    agreement = Agreement(None, said.append)
    assert agreement.settle(pa.schema({"y": pa.null()})) == pa.schema({"y": pa.null()})
    assert said == []


def test_the_first_complete_schema_is_proposed_and_the_answer_is_waited_for() -> None:
    said: list[Event] = []
    agreement = Agreement(None, said.append)
    answer = pa.schema({"y": pa.float64()})
    found: list[pa.Schema] = []
    thread = threading.Thread(target=lambda: found.append(agreement.settle(pa.schema({"y": pa.int64()}))))
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()
    agreement.use(answer)
    thread.join(10)
    assert found == [answer]
    assert said == [Proposed(pa.schema({"y": pa.int64()}))]


def test_only_rows_with_a_value_in_another_field_do_not_fit() -> None:
    given = batch([{"a": 1, "c": None}, {"a": 2, "c": 3}, None])
    fitted, errors = conform(given, pa.schema({"y": pa.struct({"a": pa.int64()})}))
    assert fitted["y"].to_pylist() == [{"a": 1}, None, None]
    assert {place: error.message for place, error in errors.items()} == {
        1: "the model returned the fields a, c in 'y'; it has the fields a"
    }
