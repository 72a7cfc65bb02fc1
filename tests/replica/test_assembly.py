"""A block's rows as they come back from a row model."""

import pyarrow as pa

from gristmill.inputs.block import Block
from gristmill.plan.shards import Shard
from gristmill.replica.agreement import conform
from gristmill.replica.assembly import Assembly
from gristmill.replica.messages import Task
from gristmill.spec.row_error import RowError

SCHEMA = pa.schema({"text": pa.string(), "count": pa.int64(), "items": pa.list_(pa.struct({"a": pa.int64()}))})


def test_a_row_whose_result_does_not_fit_has_no_other_results() -> None:
    rows = pa.record_batch({"x": [0, 1, 2, 3]})
    assembly = Assembly(Task(0, Shard(0, ())), Block(0, 0, rows, rows, {1: RowError("E", "no", "resolve")}))
    good = {"text": "a", "count": 1, "items": [{"a": 1}]}
    assembly.results = [good, None, {**good, "count": "many"}, {**good, "text": 5}]
    result = assembly.result(SCHEMA)
    assert sorted(result.errors) == [1, 2, 3]
    assert {result.errors[index].reference for index in (2, 3)} == {"count", "text"}
    assert result.outputs is not None
    assert result.outputs.to_pylist() == [good, *[dict.fromkeys(SCHEMA.names)] * 3]


def test_what_is_back_are_runs_of_rows_with_their_places_errors_and_counts() -> None:
    rows = pa.record_batch({"x": [0, 1, 2, 3, 4, 5]})
    error = RowError("E", "no", "resolve")
    assembly = Assembly(Task(0, Shard(7, ())), Block(7, 100, rows, rows, {2: error}))
    good = {"text": "a", "count": 1, "items": []}
    assembly.results = [good, None, None, good, None, good]
    assembly.metrics = {"tokens": 9.0}
    runs = [run.result(SCHEMA) for run in assembly.finished()]
    assert [(run.start, run.rows["x"].to_pylist()) for run in runs] == [(100, [0]), (102, [2, 3]), (105, [5])]
    assert [run.errors for run in runs] == [{}, {0: error}, {}]
    assert [run.outputs["text"].to_pylist() for run in runs if run.outputs is not None] == [["a"], [None, "a"], ["a"]]
    assert [dict(run.metrics) for run in runs] == [{"tokens": 9.0}, {}, {}]


def test_the_same_holds_for_batches() -> None:
    schema = pa.schema({"text": pa.string(), "count": pa.int8()})
    outputs, errors = conform(pa.record_batch({"text": ["a", "b"], "count": [1, 1_000]}), schema)
    assert list(errors) == [1]
    assert outputs.to_pylist() == [{"text": "a", "count": 1}, {"text": None, "count": None}]
