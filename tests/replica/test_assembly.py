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


def test_the_same_holds_for_batches() -> None:
    schema = pa.schema({"text": pa.string(), "count": pa.int8()})
    outputs, errors = conform(pa.record_batch({"text": ["a", "b"], "count": [1, 1_000]}), schema)
    assert list(errors) == [1]
    assert outputs.to_pylist() == [{"text": "a", "count": 1}, {"text": None, "count": None}]
