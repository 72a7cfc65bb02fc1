"""The window of a row model: full across blocks and tasks, results in order."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pytest

from gristmill.engines.protocol import EngineDeadError, EngineRefusedError, RowModel
from gristmill.inputs.block import Block
from gristmill.plan.shards import Shard, Slice
from gristmill.replica.assembly import Assembly
from gristmill.replica.inference import Result
from gristmill.replica.messages import Advanced, Announced, Began, EngineDied, Event, Rested, Task
from gristmill.replica.meter import Meter
from gristmill.replica.stream import Item, TaskCut, TaskEnd, TaskStart
from gristmill.replica.window import Window
from gristmill.spec.row_error import RowError


class Gate(RowModel):
    """Answers when a test says so; knows how many rows are in flight."""

    window = 8
    output_schema = pa.schema({"y": pa.int64()})

    def __init__(self, *, slow: int | None = None) -> None:
        self.flying = 0
        self.peak = 0
        self.slow = slow
        self.release = asyncio.Event()

    async def infer_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        self.flying += 1
        self.peak = max(self.peak, self.flying)
        try:
            if row["x"] == self.slow:
                await self.release.wait()
            await asyncio.sleep(0.001 * (row["x"] % 3))
            if row["x"] == 13:
                raise ValueError("unlucky")
            return {"y": "fourteen" if row["x"] == 14 else row["x"] * 2}
        finally:
            self.flying -= 1


def items(tasks: int, blocks: int, rows: int, *, careful: bool = False) -> list[Item]:
    found: list[Item] = []
    x = 0
    for number in range(tasks):
        task = Task(number, Shard(number, ()), careful=careful)
        found.append(TaskStart(task))
        for at in range(blocks):
            batch = pa.record_batch({"x": pa.array(range(x, x + rows), pa.int64())})
            found.append(Block(number, at * rows, batch, batch))
            x += rows
        found.append(TaskEnd(task))
    return found


class Bench:
    """A window whose results are written at once."""

    def __init__(self, model: RowModel) -> None:
        self.emitted: list[TaskStart | Result | TaskCut | TaskEnd] = []
        self.events: list[Event] = []
        self.meter = Meter(self.events.append)
        self.window = Window(model, emit=self.emit, send=self.send, meter=self.meter)
        self.schema = model.output_schema

    def emit(self, item: TaskStart | Assembly | TaskCut | TaskEnd) -> None:
        if isinstance(item, Assembly):
            result = item.result(self.schema)
            self.window.wrote(result.rows.num_rows, result.rows.nbytes)
            self.emitted.append(result)
        else:
            self.emitted.append(item)

    def send(self, event: Event, *, sure: bool = False) -> None:
        self.events.append(event)

    def told(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def outputs(result: Result) -> list[Any]:
    assert result.outputs is not None
    return result.outputs.column("y").to_pylist()  # type: ignore[no-any-return]


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - what it looks at tells nobody
        await asyncio.sleep(0.01)


def run(model: RowModel, given: Iterable[Item]) -> tuple[list[Any], list[tuple[int, int, int]]]:
    bench = Bench(model)
    asyncio.run(bench.window.run(given))
    return bench.emitted, [(event.task, event.start, event.stop) for event in bench.told(Announced)]


def test_results_come_in_order_and_each_bad_row_is_its_own_error() -> None:
    model = Gate()
    emitted, _ = run(model, items(3, 2, 5))
    assert [type(item) for item in emitted] == [TaskStart, Result, Result, TaskEnd] * 3
    results = [item for item in emitted if isinstance(item, Result)]
    values = [value for result in results for value in outputs(result)]
    assert values == [2 * x if x not in (13, 14) else None for x in range(30)]
    errors = {(index, error.step) for result in results for index, error in result.errors.items()}
    assert errors == {(3, "infer"), (4, "output")}


def test_the_window_is_full_across_blocks_and_never_fuller() -> None:
    class Held(Gate):
        async def infer_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
            self.flying += 1
            self.peak = max(self.peak, self.flying)
            if self.flying == self.window:
                self.release.set()
            with contextlib.suppress(TimeoutError):  # however slowly rows come, the first wait until the window is full
                await asyncio.wait_for(self.release.wait(), 60)
            self.release.set()
            await asyncio.sleep(0.001 * (row["x"] % 3))
            self.flying -= 1
            return {"y": row["x"]}

    model = Held()
    run(model, items(10, 2, 3))
    assert model.peak == model.window


def test_one_slow_row_does_not_stop_the_others() -> None:
    async def scenario() -> tuple[int, int]:
        model = Gate(slow=0)
        bench = Bench(model)
        emitted = bench.emitted
        work = asyncio.create_task(bench.window.run(items(4, 2, 5)))
        await until(lambda: bench.window.room.finished_rows == 39)
        flying, before = model.flying, len(emitted)
        model.release.set()
        await work
        assert len(emitted) == 4 * 4
        return flying, before

    flying, before = asyncio.run(scenario())
    assert flying == 1
    assert before == 1


def test_finished_blocks_are_emitted_while_the_stream_waits_for_more() -> None:
    async def scenario() -> int:
        bench = Bench(Gate())
        first, second = items(1, 1, 4), items(1, 1, 4)
        more = threading.Event()

        def slow() -> Iterator[Item]:
            yield from first
            more.wait()
            yield from second

        work = asyncio.create_task(bench.window.run(slow()))
        await until(lambda: len(bench.emitted) >= 3)
        count = len(bench.emitted)
        more.set()
        await work
        return count

    assert asyncio.run(scenario()) == 3


def test_few_careful_rows_are_announced_one_by_one_before_they_run() -> None:
    model = Gate()
    _, announced = run(model, items(1, 1, 5, careful=True))
    assert announced == [(0, row, row + 1) for row in range(5)]
    assert model.peak == 1


def test_a_sixteenth_of_careful_rows_runs_at_once_and_only_that() -> None:
    class Recording(Gate):
        window = 1_000

        def __init__(self) -> None:
            super().__init__()
            self.together: list[set[int]] = []

        async def infer_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
            if not self.flying:
                self.together.append(set())
            self.together[-1].add(row["x"])
            return await super().infer_row(row)

    shard = Shard(0, (Slice("/f", 1, "", None, 0, 160),))
    blocks = []
    for at in (0, 75):
        batch = pa.record_batch({"x": pa.array(range(100 + at, 175 + at if at == 0 else 260), pa.int64())})
        blocks.append(Block(0, at, batch, batch))
    task = Task(7, shard, careful=True)
    model = Recording()
    emitted, announced = run(model, [TaskStart(task), *blocks, TaskEnd(task)])
    assert max(stop - start for _, start, stop in announced) == 10
    assert [set(range(100 + start, 100 + stop)) for _, start, stop in announced] == model.together
    assert [value for item in emitted[1:3] for value in item.outputs.column("y").to_pylist()] == [
        2 * x for x in range(100, 260)
    ]


def test_tasks_begin_with_their_first_row_and_rest_after_their_last() -> None:
    bench = Bench(Gate())
    asyncio.run(bench.window.run(items(3, 2, 5)))
    told = [(type(event), event.task) for event in bench.events if isinstance(event, Began | Rested)]
    for task in range(3):
        mine = [kind for kind, of in told if of == task]
        assert mine == [Began, Rested] * (len(mine) // 2)
        assert mine


def test_a_dead_engine_ends_the_window_and_no_row_has_failed() -> None:
    class Dying(Gate):
        async def infer_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
            if row["x"] == 20:
                await self.release.wait()
                raise EngineDeadError("out of memory")
            if row["x"] == 25:  # of the last task
                self.release.set()
            if row["x"] > 20:
                await asyncio.sleep(60)
            return {"y": row["x"]}

    bench = Bench(Dying())
    with pytest.raises(EngineDeadError, match="out of memory"):
        asyncio.run(bench.window.run(items(6, 1, 5)))
    (died,) = bench.told(EngineDied)
    assert died.reason == "out of memory"
    assert set(died.tasks) == {4, 5}
    assert not any(item.errors for item in bench.emitted if isinstance(item, Result))


def test_an_engine_that_refuses_all_rows_is_no_death() -> None:
    class Refusing(Gate):
        async def infer_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
            raise EngineRefusedError("no such key")

    bench = Bench(Refusing())
    with pytest.raises(EngineRefusedError):
        asyncio.run(bench.window.run(items(1, 1, 5)))
    assert not bench.told(EngineDied)


def test_what_is_back_when_an_engine_refuses_all_rows_is_emitted_task_by_task() -> None:
    class Refusing(Gate):
        window = 30

        async def infer_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
            if row["x"] in (7, 12, 13):
                await asyncio.sleep(60)
            if row["x"] == 24:
                await until(lambda: bench.window.room.finished_rows == 26)  # all others
                raise EngineRefusedError("no such key")
            return {"y": row["x"]}

    bench = Bench(Refusing())
    with pytest.raises(EngineRefusedError):
        asyncio.run(bench.window.run(items(3, 2, 5)))
    shown = [(item.start, outputs(item)) if isinstance(item, Result) else type(item) for item in bench.emitted]
    assert shown == [
        TaskStart, (0, [0, 1, 2, 3, 4]), (5, [5, 6]), (8, [8, 9]), TaskCut,
        TaskStart, (0, [10, 11]), (4, [14]), (5, [15, 16, 17, 18, 19]), TaskCut,
        TaskStart, (0, [20, 21, 22, 23]), (5, [25, 26, 27, 28, 29]), TaskCut,
    ]  # fmt: skip


def test_a_stopped_window_drops_what_is_left() -> None:
    async def scenario() -> int:
        model = Gate(slow=0)
        bench = Bench(model)
        work = asyncio.create_task(bench.window.run(items(4, 2, 5)))
        await until(lambda: model.flying)
        bench.window.stop()
        await work
        return model.flying

    assert asyncio.run(scenario()) == 0


def test_what_the_model_counts_goes_with_its_rows() -> None:
    class Counting(Gate):
        counted = 0

        async def infer_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
            result = await super().infer_row(row)
            self.counted += 100 + row["x"]
            return result

        def take_metrics(self) -> Mapping[str, float]:
            counted, self.counted = self.counted, 0
            return {"output_tokens": counted} if counted else {}

    bench = Bench(Counting())
    asyncio.run(bench.window.run(items(2, 2, 5)))
    sums = [item.metrics["output_tokens"] for item in bench.emitted if isinstance(item, Result)]
    assert sums == [510, 535, 447, 585]
    bench.meter.tell()
    assert bench.told(Advanced)[-1].metrics == {"output_tokens": sum(sums)}
    assert (bench.told(Advanced)[-1].rows, bench.told(Advanced)[-1].errors) == (20, 1)


def test_a_slow_row_is_told_of_while_it_runs() -> None:
    async def scenario() -> Advanced:
        model = Gate(slow=0)
        bench = Bench(model)
        work = asyncio.create_task(bench.window.run(items(1, 1, 5)))
        await until(lambda: bench.told(Advanced))
        model.release.set()
        await work
        advanced: Advanced = bench.told(Advanced)[0]
        return advanced

    told = asyncio.run(scenario())
    assert told.rows == 4
    assert told.gauges == {"rows_in_flight": 1, "rows_waiting": 0}


def test_rows_in_the_engines_own_queue_are_waiting() -> None:
    class Queueing(Gate):
        def gauges(self) -> Mapping[str, float]:
            return {"waiting": 3, "cache_used": 0.5}

    async def scenario() -> Advanced:
        model = Queueing()
        model.slow = 0
        bench = Bench(model)
        work = asyncio.create_task(bench.window.run(items(1, 1, 5)))
        await until(lambda: bench.told(Advanced))
        model.release.set()
        await work
        advanced: Advanced = bench.told(Advanced)[0]
        return advanced

    assert asyncio.run(scenario()).gauges == {"rows_in_flight": 0, "rows_waiting": 3, "cache_used": 0.5}


def test_a_failure_of_the_source_is_raised() -> None:
    def broken() -> Iterator[Item]:
        yield from items(1, 1, 3)
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        run(Gate(), broken())


@pytest.mark.parametrize("answer", [None, 5, "text"])
def test_an_answer_that_is_no_row_is_that_rows_error(answer: Any) -> None:
    class Odd(Gate):
        async def infer_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
            return answer if row["x"] == 1 else {"y": row["x"]}

    emitted, _ = run(Odd(), items(1, 1, 3))
    assert emitted[1].outputs.column("y").to_pylist() == [0, None, 2]
    assert emitted[1].errors[1].type == "TypeError"


def test_rows_that_failed_before_are_not_run() -> None:
    batch = pa.record_batch({"x": pa.array([1, 2], pa.int64())})
    task = Task(0, Shard(0, ()))
    given: list[Item] = [
        TaskStart(task),
        Block(0, 0, batch, batch, {0: RowError("OSError", "gone", "resolve")}),
        TaskEnd(task),
    ]
    emitted, _ = run(Gate(), given)
    assert emitted[1].outputs.column("y").to_pylist() == [None, 4]


def test_a_model_that_cancels_itself_is_that_rows_error() -> None:
    class Cancelling(Gate):
        async def infer_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
            if row["x"] == 1:
                raise asyncio.CancelledError
            return {"y": row["x"]}

    emitted, _ = run(Cancelling(), items(1, 1, 3))
    assert emitted[1].outputs.column("y").to_pylist() == [0, None, 2]
    assert emitted[1].errors[1].type == "CancelledError"
