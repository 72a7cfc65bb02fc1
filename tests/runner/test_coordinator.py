"""The coordinator against stub workers: every row is committed once, whatever dies or fails on the way."""

import random
from collections.abc import Callable

import pyarrow as pa
import pytest

from gristmill.outputs.commit import Commit
from gristmill.outputs.progress import ShardProgress
from gristmill.plan.shards import Shard, Slice
from gristmill.replica.messages import (
    Advanced,
    Began,
    Died,
    EngineDied,
    Event,
    Fatal,
    Proposed,
    Rested,
    Task,
    TaskFailed,
    Wants,
    WorkerSpec,
)
from gristmill.runner.coordinator import Coordinator, Hooks, Live
from gristmill.runner.queue import TaskQueue
from gristmill.runner.tally import ErrorPolicy, Tally
from gristmill.settings import Settings
from gristmill.spec.enums import OnError
from tests.runner.stub import Behaviour, HoldingExecutor, StubExecutor, dies_on, done

SPEC = WorkerSpec(
    Settings(), "job", "echo", "echo:", "echo", {}, {}, "parquet", pa.schema([]), {}, (), "/nowhere", None, False
)


class Run:
    """One run of the coordinator over shards of equal size."""

    def __init__(
        self,
        shards: int,
        rows: int,
        behave: Behaviour = done,
        *,
        on_error: OnError = OnError.RECORD,
        executor: StubExecutor | None = None,
    ) -> None:
        self.executor = StubExecutor(behave) if executor is None else executor
        self.commits: list[Commit] = []
        self.tally = Tally(ErrorPolicy(on_error), shards * rows)
        self.live = Live()
        self.stop: str | None = None
        self.progress = ShardProgress(shards)
        self.agreed: list[pa.Schema] = []
        self.logged: list[str] = []
        self._stop: Callable[[], str | None] = lambda: self.stop
        plan = ((Shard(i, (Slice("/f", rows, "", None, 0, rows),)), 0, None) for i in range(shards))
        hooks = Hooks(
            self.commits.extend, self._agree, lambda: self._stop(), lambda worker, text: self.logged.append(text)
        )
        self.coordinator = Coordinator(self.executor, TaskQueue(plan, count=shards), self.tally, hooks, live=self.live)

    def stop_when(self, stop: Callable[[], str | None]) -> None:
        self._stop = stop

    def _agree(self, schema: pa.Schema) -> pa.Schema:
        self.agreed.append(schema)
        return schema

    def __call__(self, workers: int = 2) -> str | None:
        self.executor.start(SPEC, workers=workers)
        reason = self.coordinator.run(workers=workers)
        for commit in self.commits:
            assert self.progress.accept(commit), f"{commit} covers rows twice"
        return reason


def test_every_shard_is_committed_once() -> None:
    run = Run(shards=100, rows=7)
    assert run(workers=3) is None
    assert run.progress.all_complete
    assert run.tally.rows == 700
    assert run.live.shards == 100


def test_few_tasks_are_shared_out_evenly() -> None:
    run = Run(shards=8, rows=38)
    assert run(workers=2) is None
    assert sum(worker == 0 for worker, _ in run.executor.assigned) == 4


def test_an_empty_queue_starts_no_worker() -> None:
    run = Run(shards=0, rows=1)
    assert run() is None
    assert run.executor.assigned == []


@pytest.mark.parametrize("rows", [1, 2, 17, 1_000, 100_000])
def test_a_row_that_kills_its_worker_is_found_and_recorded(rows: int) -> None:
    poison = rows // 2
    run = Run(shards=3, rows=rows, behave=lambda task: dies_on(poison)(task) if task.shard.index == 1 else done(task))
    assert run() is None
    assert run.progress.all_complete
    assert run.tally.rows == 3 * rows
    assert [(shard, place) for shard, place, _ in run.tally.samples] == [(1, poison)]
    assert run.tally.samples[0][2].type == "WorkerDied"
    assert run.executor.restarts <= 8


def test_several_killers_in_one_shard_are_all_found() -> None:
    poison = sorted(random.Random(5).sample(range(10_000), 4))
    run = Run(shards=1, rows=10_000, behave=dies_on(*poison))
    assert run() is None
    assert run.progress.all_complete
    assert sorted(place for _, place, _ in run.tally.samples) == poison
    assert run.tally.errors == 4


@pytest.mark.parametrize(("rows", "deaths"), [(1, 4), (16, 4), (256, 5), (1_000, 6), (1_000_000, 8)])
def test_a_killer_takes_few_deaths(rows: int, deaths: int) -> None:
    run = Run(shards=1, rows=rows, behave=dies_on(rows * 2 // 3))
    assert run() is None
    assert run.executor.restarts <= deaths


def test_only_tasks_with_rows_in_flight_are_suspects_of_a_dead_engine() -> None:
    seen: list[int] = []

    def behave(task: Task) -> list[Event]:
        seen.append(task.id)
        if len(seen) == 1:
            return [Began(task.id)]
        if len(seen) == 2:
            return [Began(task.id), EngineDied("CUDA error", (task.id,)), Died("exit code 1")]
        return done(task)

    run = Run(shards=2, rows=50, behave=behave)
    assert run(workers=1) is None
    assert [task.shard.index for _, task in run.executor.assigned if task.is_rerun] == [1]
    assert run.tally.errors == 0
    assert any("CUDA error" in text for text in run.logged)


def test_a_task_whose_rows_rest_is_no_suspect() -> None:
    seen: list[int] = []

    def behave(task: Task) -> list[Event]:
        seen.append(task.id)
        if len(seen) == 1:
            return [Began(task.id), Rested(task.id)]
        if len(seen) == 2:
            return [Began(task.id), Died("killed by SIGKILL")]
        return done(task)

    run = Run(shards=2, rows=50, behave=behave)
    assert run(workers=1) is None
    assert [task.shard.index for _, task in run.executor.assigned if task.is_rerun] == [1]


def test_after_one_death_nothing_is_slow() -> None:
    seen: list[int] = []

    def behave(task: Task) -> list[Event]:
        seen.append(task.id)
        return [Began(task.id), Died("killed by SIGKILL")] if len(seen) == 3 else done(task)

    run = Run(shards=9, rows=50, behave=behave)
    assert run(workers=1) is None
    assert run.executor.restarts == 1
    assert not [task for _, task in run.executor.assigned if task.careful]


def test_a_worker_gets_what_it_wants_to_hold_while_it_is_alone() -> None:
    executor = HoldingExecutor(Wants(8_000, is_urgent=False))
    run = Run(shards=20, rows=1_000, executor=executor)
    assert run(workers=1) is None
    assert run.progress.all_complete
    assert executor.most_held[0] >= 10


def test_what_one_worker_wants_to_hold_leaves_others_their_share() -> None:
    executor = HoldingExecutor(Wants(50_000, is_urgent=False))
    run = Run(shards=12, rows=1_000, executor=executor)
    assert run(workers=2) is None
    assert run.progress.all_complete
    assert max(executor.most_held.values()) <= 6
    assert min(sum(worker == number for worker, _ in executor.assigned) for number in range(2)) >= 5


def test_a_worker_whose_model_would_be_idle_gets_a_task_whatever_others_want() -> None:
    executor = HoldingExecutor(Wants(100, is_urgent=True))
    run = Run(shards=9, rows=1_000, executor=executor)
    assert run(workers=3) is None
    assert run.progress.all_complete
    assert max(executor.most_held.values()) >= 3


def test_progress_counts_rows_before_their_parts_are_done() -> None:
    seen: list[tuple[int, dict[str, float]]] = []

    def behave(task: Task) -> list[Event]:
        return [Advanced(7, 1, {"output_tokens": 70}, {"rows_in_flight": 3}), *done(task)[:1]]

    run = Run(shards=1, rows=10, behave=behave)

    def stop() -> str | None:
        seen.extend((account.rows - account.told_rows, account.ahead) for account in run.live.accounts.values())
        return "enough" if seen else None

    run.stop_when(stop)
    assert run(workers=1) == "enough"
    assert seen == [(7, {"output_tokens": 70})]


@pytest.mark.parametrize(("shards", "rows"), [(1, 1_000), (40, 25), (3, 1)])
@pytest.mark.parametrize("workers", [1, 2])
def test_an_engine_that_no_row_survives_ends_the_job_and_convicts_nobody(shards: int, rows: int, workers: int) -> None:
    run = Run(shards=shards, rows=rows, behave=dies_on(*range(rows)))
    reason = run(workers=workers)
    if shards * rows < 5:
        assert reason is None  # every row was tried
        assert len(run.commits) == 3
    else:
        assert "engine is probably at fault" in str(reason)
        assert run.commits == []
        assert run.executor.restarts <= 45


def test_rows_that_were_convicted_are_committed_once_another_succeeds() -> None:
    run = Run(shards=1, rows=10, behave=dies_on(0, 9))
    assert run() is None
    assert run.progress.all_complete
    assert [(commit.start, commit.errors) for commit in sorted(run.commits) if commit.errors] == [(0, 1), (9, 1)]


@pytest.mark.parametrize(("rows", "first"), [(1_000, 0), (1_000, 500), (64, 20)])
def test_many_killers_side_by_side_are_not_taken_for_a_bad_engine(rows: int, first: int) -> None:
    poison = list(range(first, first + 12))
    run = Run(shards=1, rows=rows, behave=dies_on(*poison))
    assert run() is None
    assert run.progress.all_complete
    assert sorted(place for _, place, _ in run.tally.samples) == poison


def test_deaths_by_sigkill_while_loading_come_with_advice_about_memory() -> None:
    run = Run(shards=2, rows=5)
    reason = "its process was killed by SIGKILL"
    starts: list[int] = []

    def start(worker: int) -> None:
        starts.append(worker)
        run.executor.events.append((worker, Died(reason)))

    run.executor.start = lambda spec, *, workers: start(0)  # type: ignore[method-assign]
    run.executor.restart = start  # type: ignore[method-assign]
    message = run() or ""
    assert reason in message
    assert "memory_requests" in message
    assert starts == [0, 0]


def test_a_worker_that_is_killed_from_outside_blames_no_row() -> None:
    killed = iter([True])

    def behave(task: Task) -> list[Event]:
        return [*done(task)[:1], Died("killed")] if task.shard.index == 3 and next(killed, False) else done(task)

    run = Run(shards=10, rows=50, behave=behave)
    assert run() is None
    assert run.progress.all_complete
    assert run.tally.errors == 0


def test_a_task_that_storage_fails_is_tried_three_times_and_then_ends_the_job() -> None:
    def behave(task: Task) -> list[Event]:
        return [TaskFailed(task.id, "OSError", "disk full", retryable=True)] if task.shard.index == 1 else done(task)

    run = Run(shards=3, rows=5, behave=behave)
    reason = run()
    assert reason is not None
    assert "disk full" in reason
    assert "3 tries" in reason
    assert sum(task.shard.index == 1 for _, task in run.executor.assigned) == 3


def test_a_failure_that_cannot_pass_is_not_tried_again() -> None:
    run = Run(
        shards=2, rows=5, behave=lambda task: [TaskFailed(task.id, "SchemaError", "no column x", retryable=False)]
    )
    reason = run()
    assert reason is not None
    assert "no column x" in reason
    assert all(task.failures == 0 for _, task in run.executor.assigned)


def test_a_model_that_does_not_load_ends_the_job() -> None:
    run = Run(shards=2, rows=5, behave=lambda task: [Fatal("ModelError", "no weights")])
    assert "no weights" in (run() or "")


def test_workers_that_die_before_they_are_ready_end_the_job() -> None:
    run = Run(shards=2, rows=5)
    run.executor.start = lambda spec, *, workers: run.executor.events.append((0, Died("out of memory")))  # type: ignore[method-assign]
    run.executor.restart = lambda worker: run.executor.events.append((worker, Died("out of memory")))  # type: ignore[method-assign]
    reason = run()
    assert reason is not None
    assert "out of memory" in reason


def test_stopping_from_outside_ends_the_run_with_the_reason() -> None:
    run = Run(shards=1_000, rows=5)
    run.stop = "cancelled"
    assert run() == "cancelled"
    assert not run.progress.all_complete


def test_all_workers_get_the_first_proposal() -> None:
    first, second = pa.schema({"y": pa.int64()}), pa.schema({"y": pa.float64()})

    def behave(task: Task) -> list[Event]:
        return [Proposed(first if task.shard.index == 0 else second), *done(task)]

    run = Run(shards=4, rows=5, behave=behave)
    assert run() is None
    assert run.agreed == [first]
    assert {schema.outputs for _, schema in run.executor.schemas} == {first}
    assert {worker for worker, _ in run.executor.schemas} == {0, 1}


def test_failed_rows_end_the_job_when_there_are_too_many() -> None:
    from gristmill.replica.messages import PartDone
    from gristmill.spec.row_error import RowError

    error = RowError("ValueError", "bad", "infer")

    def behave(task: Task) -> list[Event]:
        samples = tuple((place, error) for place in range(30))
        return [PartDone(task.id, 0, 50, None, errors=30, samples=samples)]

    run = Run(shards=100, rows=50, behave=behave, on_error=OnError.FAIL)
    reason = run()
    assert reason is not None
    assert "max_errors=100" in reason
    assert "ValueError: bad" in reason
    assert run.commits == []


@pytest.mark.parametrize("spoiled", [False, True])
def test_partitions_that_gave_no_rows_are_committed_unless_they_were_given_up(spoiled: bool) -> None:
    from gristmill.replica.messages import PartDone

    def behave(task: Task) -> list[Event]:
        return [PartDone(task.id, 0, 5, None, partitions=2, written=0, spoiled=spoiled)]

    run = Run(shards=3, rows=5, behave=behave)
    run()
    assert [(commit.shard, commit.file) for commit in run.commits] == ([] if spoiled else [(i, None) for i in range(3)])


def test_shards_without_failures_stay_committed_when_the_job_fails() -> None:
    from gristmill.replica.messages import PartDone
    from gristmill.spec.row_error import RowError

    def behave(task: Task) -> list[Event]:
        if task.shard.index != 2:
            return done(task)
        return [PartDone(task.id, 0, 5, None, errors=1, samples=((3, RowError("ValueError", "bad", "infer")),))]

    run = Run(shards=5, rows=5, behave=behave, on_error=OnError.FAIL)
    reason = run()
    assert reason is not None
    assert "shard 2 row 3" in reason
    assert sorted(commit.shard for commit in run.commits) == [0, 1, 3, 4]
