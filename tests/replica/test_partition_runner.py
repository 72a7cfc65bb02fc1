"""Calls over partitions: each sees one, whole, however its rows come; one that cannot be run is data."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from gristmill.engines.protocol import BatchModel, EngineDeadError
from gristmill.inputs.block import Block
from gristmill.partitions.rule import Partitioning
from gristmill.replica.agreement import Agreement
from gristmill.replica.inference import ErrorBudget, Result
from gristmill.replica.partition_runner import PartitionRunner
from gristmill.spec.row_error import RowError

OUTPUTS = pa.schema({"y": pa.int64()})
KEYS = ["a", "a", "b", "c", "c", "c", "d"]


class Calls(BatchModel):
    """Gives the sum, or each row's double; remembers what it was called with."""

    def __init__(self, *, each: bool = False, bad: tuple[int, ...] = (), empty: tuple[int, ...] = ()) -> None:
        self.each, self.bad, self.empty = each, bad, empty
        self.calls: list[list[int]] = []

    def infer(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        rows = batch.column("x").to_pylist()
        self.calls.append(rows)
        if set(rows) & set(self.bad):
            raise ValueError("cannot do it")
        if set(rows) & set(self.empty):
            return pa.record_batch({"y": pa.array([], pa.int64())})
        return pa.record_batch({"y": pc.multiply(batch.column("x"), 2) if self.each else [sum(rows)]})


def blocks(*sizes: int, errors: dict[int, RowError] | None = None) -> list[Block]:
    """The seven rows, cut into blocks."""
    found, at = [], 0
    rows = pa.record_batch({"key": KEYS, "x": pa.array(range(7), pa.int64())})
    for size in sizes or (7,):
        batch = rows.slice(at, size)
        mine = {place - at: error for place, error in (errors or {}).items() if at <= place < at + size}
        found.append(Block(0, at, batch, batch, mine))
        at += size
    return found


def run(
    model: BatchModel,
    given: list[Block],
    *,
    kind: Any = "partitioned",
    column: str | None = "key",
    limit: int | None = None,
    most_bytes: int = 10**6,
    told: list[tuple[int, int]] | None = None,
) -> list[Result]:
    runner = PartitionRunner(
        model,
        Agreement(OUTPUTS, lambda event: None),
        ErrorBudget(limit),
        Partitioning(kind, column),
        most_bytes=most_bytes,
    )
    announce = None if told is None else lambda start, stop: told.append((start, stop))
    runner.begin()
    found = [result for block in given for result in runner.run(block, announce=announce)]
    return found + list(runner.end(announce=announce))


def values(results: list[Result]) -> list[tuple[Any, ...]]:
    found = []
    for result in results:
        outputs = [None] * result.height if result.outputs is None else result.outputs.column("y").to_pylist()
        keys = result.rows.column(0).to_pylist() if result.rows.num_columns else [None] * result.height
        found += list(zip(keys, outputs, strict=True))
    return found


SUMS = [("a", 1), ("b", 2), ("c", 12), ("d", 6)]


@pytest.mark.parametrize("sizes", [(7,), (1,) * 7, (2, 1, 3, 1), (3, 0, 4), (5, 2)])
def test_a_call_sees_one_partition_however_the_rows_come(sizes: tuple[int, ...]) -> None:
    model = Calls()
    results = run(model, blocks(*sizes))
    assert model.calls == [[0, 1], [2], [3, 4, 5], [6]]
    assert values(results) == SUMS
    assert [result.covered for result in results if result.covered is not None and result.errors] == []
    assert sum(result.taken for result in results) == 7
    assert sum(result.covered.partitions for result in results if result.covered is not None) == 4


def test_results_of_small_partitions_come_together() -> None:
    assert len(run(Calls(), blocks())) == 1


def test_without_a_column_all_rows_are_one_partition() -> None:
    model = Calls()
    (result,) = run(model, blocks(3, 4), column=None)
    assert model.calls == [list(range(7))]
    assert (values([result]), result.taken, result.height) == ([(None, 21)], 7, 1)


def test_a_table_function_gives_each_row_its_row() -> None:
    results = run(Calls(each=True), blocks(4, 3), kind="table")
    assert values(results) == list(zip(KEYS, range(0, 14, 2), strict=True))
    assert all(result.rows.schema.names == ["key", "x"] for result in results)
    assert all(result.height == result.taken for result in results)


def test_a_table_function_with_another_number_of_rows_fails_its_partition() -> None:
    results = run(Calls(), blocks(), kind="table")
    assert values(results) == [("a", None), ("a", None), ("b", 4 - 2), *[("c", None)] * 3, ("d", 6)]
    messages = {error.message for result in results for error in result.errors.values()}
    assert "the model gave 1 rows for 3; it must give one for each" in messages


def test_partitions_without_results_are_covered_all_the_same() -> None:
    (result,) = run(Calls(empty=(0, 2, 3, 6)), blocks())
    assert (result.taken, result.height, result.outputs) == (7, 0, None)
    assert result.covered is not None
    assert result.covered.partitions == 4


def test_a_call_that_raises_fails_its_partition_as_one_row() -> None:
    results = run(Calls(bad=(4,)), blocks())
    assert values(results) == [("a", 1), ("b", 2), ("c", None), ("d", 6)]
    (failed,) = [result for result in results if result.errors]
    assert failed.errors == {0: RowError("ValueError", "cannot do it", "infer", "c")}
    assert (failed.start, failed.taken, failed.height) == (3, 3, 1)


def test_a_partition_with_a_failed_row_is_not_run() -> None:
    model = Calls(each=True)
    lost = RowError("FileNotFoundError", "no such file", "resolve", "c.png")
    results = run(model, blocks(errors={4: lost}), kind="table")
    assert model.calls == [[0, 1], [2], [6]]
    (failed,) = [result for result in results if result.errors]
    assert failed.errors[1] == lost
    assert failed.errors[0] == failed.errors[2]
    assert failed.errors[0].type == "PartitionError"
    assert "1 of the 3 rows of the partition failed before" in failed.errors[0].message
    assert "row 1 of it (c.png): FileNotFoundError: no such file" in failed.errors[0].message


def test_a_partition_that_is_too_large_fails_with_its_size_and_holds_nothing() -> None:
    model = Calls()
    results = run(model, blocks(4, 3), most_bytes=30)
    assert model.calls == [[0, 1], [2], [6]]
    assert [error.type for result in results for error in result.errors.values()] == ["PartitionError"]
    (message,) = [error.message for result in results for error in result.errors.values()]
    assert "the partition key=c has 3 rows of" in message


def test_a_condemned_partition_keeps_its_verdict() -> None:
    verdict = RowError("WorkerDied", "the worker died each time", "infer")
    results = run(Calls(), blocks(errors=dict.fromkeys((3, 4, 5), verdict)))
    assert [error for result in results for error in result.errors.values()] == [
        RowError("WorkerDied", "the worker died each time", "infer", "c")
    ]


def test_each_call_is_announced_with_its_rows() -> None:
    told: list[tuple[int, int]] = []
    run(Calls(), blocks(4, 3), told=told)
    assert told == [(0, 2), (2, 3), (3, 6), (6, 7)]


def test_more_failures_than_the_job_takes_end_the_search() -> None:
    model = Calls(bad=(0, 2))
    results = run(model, blocks(), limit=1)
    assert [result.cut for result in results] == [False, True]
    assert model.calls == [[0, 1], [2]]


def test_a_dead_engine_is_no_partitions_failure() -> None:
    class Dead(Calls):
        def infer(self, batch: pa.RecordBatch) -> pa.RecordBatch:
            raise EngineDeadError("gone")

    with pytest.raises(EngineDeadError):
        run(Dead(), blocks())
