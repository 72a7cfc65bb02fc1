"""Running batches and finding the rows that fail."""

from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.engines.protocol import BatchModel
from gristmill.inputs.block import Block
from gristmill.replica.agreement import Agreement
from gristmill.replica.inference import BatchRunner, ErrorBudget, Result
from gristmill.replica.messages import Proposed
from gristmill.replica.sizing import BatchSizer
from gristmill.spec.row_error import RowError

OUTPUTS = pa.schema({"y": pa.int64()})


class Function(BatchModel):
    """A model of one function over the column `x`, which counts its calls."""

    def __init__(self, function: Callable[[int], object]) -> None:
        self.function = function
        self.calls: list[int] = []

    def infer(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        self.calls.append(batch.num_rows)
        return pa.record_batch({"y": pa.array([self.function(x) for x in batch.column("x").to_pylist()])})


def refusing(*bad: int) -> Callable[[int], object]:
    def function(x: int) -> int:
        if x in bad:
            raise ValueError(f"cannot do {x}")
        return 2 * x

    return function


def block(rows: int, errors: dict[int, RowError] | None = None) -> Block:
    batch = pa.record_batch({"x": pa.array(range(rows), pa.int64())})
    return Block(0, 0, batch, batch, errors or {})


def run(
    model: Function,
    given: Block,
    *,
    declared: pa.Schema | None = OUTPUTS,
    size: int | None = 16,
    limit: int | None = None,
) -> list[Result]:
    runner = BatchRunner(model, Agreement(declared, lambda event: None), BatchSizer(size), ErrorBudget(limit))
    return list(runner.run(given))


def gathered(results: list[Result]) -> tuple[list[object], dict[int, str]]:
    values: list[object] = []
    errors: dict[int, str] = {}
    for result in results:
        errors |= {result.start + index: error.type for index, error in result.errors.items()}
        values += [None] * result.rows.num_rows if result.outputs is None else result.outputs.column("y").to_pylist()
    return values, errors


@given(
    rows=st.integers(0, 70),
    bad=st.sets(st.integers(0, 69)),
    unread=st.sets(st.integers(0, 69)),
    size=st.integers(1, 80),
)
def test_each_row_has_its_result_or_its_error(rows: int, bad: set[int], unread: set[int], size: int) -> None:
    earlier = {index: RowError("OSError", "unread", "read") for index in unread if index < rows}
    values, errors = gathered(run(Function(refusing(*bad)), block(rows, earlier), size=size))
    failed = {index: "OSError" if index in unread else "ValueError" for index in (bad | unread) if index < rows}
    assert errors == failed
    assert values == [None if index in failed else 2 * index for index in range(rows)]


def test_one_bad_row_costs_about_twice_the_logarithm_of_the_batch() -> None:
    model = Function(refusing(700))
    run(model, block(1_024), size=1_024)
    assert len(model.calls) == 1 + 2 * 10


def test_rows_that_failed_before_are_not_given_to_the_model() -> None:
    model = Function(refusing())
    run(model, block(10, {3: RowError("OSError", "unread", "read")}), size=100)
    assert model.calls == [9]


def test_an_odd_first_row_does_not_decide_the_type_for_all() -> None:
    agreement: Agreement
    agreement = Agreement(None, lambda event: agreement.use(event.outputs) if isinstance(event, Proposed) else None)
    model = Function(lambda x: "zero" if x == 0 else 2 * x)
    runner = BatchRunner(model, agreement, BatchSizer(9), ErrorBudget(None))
    values, errors = gathered(list(runner.run(block(9))))
    assert errors == {0: "ArrowInvalid"}
    assert values == [None, *(2 * x for x in range(1, 9))]


def test_a_model_that_gives_too_few_rows_fails_them_all() -> None:
    class Short(Function):
        def infer(self, batch: pa.RecordBatch) -> pa.RecordBatch:
            return super().infer(batch).slice(0, 1)

    values, errors = gathered(run(Short(refusing()), block(4), size=4))
    assert (values, errors) == ([None] * 4, dict.fromkeys(range(4), "ValueError"))


def test_the_search_ends_when_there_are_too_many_errors() -> None:
    model = Function(refusing(*range(1_000)))
    results = run(model, block(1_000), size=1_000, limit=10)
    assert results[-1].cut
    assert len(model.calls) < 100


@pytest.mark.parametrize(("seconds", "rows"), [(0.001, 4_096), (1.0, 1_024), (3.0, 512)])
def test_batches_grow_while_calls_are_quick_and_shrink_when_they_are_slow(seconds: float, rows: int) -> None:
    sizer = BatchSizer(None)
    sizer.record(rows=sizer.rows, seconds=seconds)
    assert sizer.rows == rows


def test_the_users_bound_is_kept() -> None:
    sizer = BatchSizer(2_048)
    sizer.record(rows=2_048, seconds=0.0001)
    assert sizer.rows == 2_048
    assert sizer.read_rows % 2_048 == 0
