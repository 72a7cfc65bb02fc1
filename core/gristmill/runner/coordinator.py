"""The coordinator: hands tasks to workers, collects commits, and decides what a death or an error means.

It handles metadata only, in one thread, and holds no more of the plan than the tasks that are out.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from gristmill.executors.protocol import Executor
from gristmill.outputs.commit import Commit
from gristmill.replica.messages import (
    Advanced,
    Announced,
    Assign,
    Began,
    Died,
    EngineDied,
    Event,
    Fatal,
    Log,
    PartDone,
    Proposed,
    Ready,
    Rested,
    Task,
    TaskFailed,
    UseSchema,
    Wants,
)
from gristmill.replica.meter import Account
from gristmill.runner.deaths import DeathToll
from gristmill.runner.queue import TaskQueue
from gristmill.runner.suspects import after_death
from gristmill.runner.tally import Tally

__all__ = ["Coordinator", "Hooks", "Live"]

_POLL_SECONDS = 0.2
_DEPTH = 2
_MOST = 64
_ENOUGH_ROWS = 4_096
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the coordinator asks of its surroundings.

    Attributes:
        commit: make commits durable; they count once this returns.
        agree: the output columns as the first worker proposes them; returns those all use, or raises `SchemaError`.
        stop_reason: why the run must stop from outside (cancelled, superseded); None while it may go on.
        log: a worker's output.
    """

    commit: Callable[[Sequence[Commit]], None]
    agree: Callable[[pa.Schema], pa.Schema]
    stop_reason: Callable[[], str | None]
    log: Callable[[int, str], None]


@dataclass(slots=True)
class Live:
    """Numbers that the heartbeat reads while the coordinator runs.

    Attributes:
        shards: shards complete.
        workers: workers ready.
        metrics: sums that models report, over finished parts.
        began: when the first worker was ready, by the monotonic clock; None before.
        accounts: what each worker has done, its unfinished parts included, since it was last started.
    """

    shards: int = 0
    workers: int = 0
    began: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    accounts: dict[int, Account] = field(default_factory=dict)

    def rest(self) -> None:
        """Note that no worker is busy any more: what they were busy with is zero."""
        for account in self.accounts.values():
            account.gauges = dict.fromkeys(account.gauges, 0.0)


@dataclass(slots=True)
class _Worker:
    ready: bool = False
    tasks: dict[int, Task] = field(default_factory=dict)
    begun: set[int] = field(default_factory=set)
    announced: Announced | None = None
    wants: Wants | None = None
    engine: EngineDied | None = None


class Coordinator:
    """Runs all tasks of a queue on an executor.

    Args:
        executor: where workers run.
        queue: what to do.
        tally: counts rows and errors.
        hooks: commits, schema, stopping, logs.
        live: numbers for the heartbeat.
        outputs: the agreed output columns, if they are known from an earlier run.
    """

    def __init__(
        self,
        executor: Executor,
        queue: TaskQueue,
        tally: Tally,
        hooks: Hooks,
        *,
        live: Live,
        outputs: pa.Schema | None = None,
    ) -> None:
        self._executor = executor
        self._queue = queue
        self._tally = tally
        self._hooks = hooks
        self._live = live
        self._outputs = outputs
        self._workers: dict[int, _Worker] = {}
        self._commits: list[Commit] = []
        self._convictions: list[Commit] = []  # of rows that killed, until a row succeeds: the engine may be at fault
        self._toll = DeathToll()

    def run(self, *, workers: int) -> str | None:
        """Run until everything is done or must stop, on an executor that has been started.

        Args:
            workers: how many workers the executor was told to start.

        Returns:
            None when every row is accounted for; otherwise why it stopped.

        Raises:
            PlacementError: no worker could be placed.
            SchemaError: an output column collides with an input column.
        """
        if self._queue.is_empty:
            return self._tally.final_reason()
        self._workers = {worker: _Worker() for worker in range(workers)}
        while True:
            problem = self._step()
            if self._commits:
                commits, self._commits = self._commits, []
                self._hooks.commit(commits)
            problem = problem or self._tally.stop_reason() or self._hooks.stop_reason()
            if problem is not None:
                return problem
            if self._queue.is_empty and not any(worker.tasks for worker in self._workers.values()):
                self._hooks.commit(self._convictions)
                return self._tally.final_reason()
            self._assign()

    def _step(self) -> str | None:
        for worker, event in self._executor.poll(_POLL_SECONDS):
            problem = self._handle(worker, event)
            if problem is not None:
                return problem
        return None

    def _handle(self, number: int, event: Event) -> str | None:
        worker = self._workers[number]
        match event:
            case PartDone():
                self._part_done(worker, event)
                self._account(number).apply(event)
            case Began():
                worker.begun.add(event.task)
            case Rested():
                worker.begun.discard(event.task)
            case Announced():
                worker.announced = event
            case Advanced():
                self._account(number).apply(event)
            case Wants():
                worker.wants = event
            case EngineDied():
                worker.engine = event
                worker.begun &= set(event.tasks)
            case Ready():
                worker.ready = True
                self._live.workers += 1
                if self._live.began is None:
                    self._live.began = time.monotonic()
                self._toll.ready()
                if self._outputs is not None:
                    self._executor.send(number, UseSchema(self._outputs))
            case Proposed():
                self._agree(number, event.outputs)
            case Log():
                self._hooks.log(number, event.text)
            case TaskFailed():
                return self._task_failed(worker, event)
            case Fatal():
                return f"the model does not load or run: {event.type}: {event.message}"
            case Died():
                return self._died(number, worker, event.reason)
        return None

    def _account(self, number: int) -> Account:
        return self._live.accounts.setdefault(number, Account())

    def _agree(self, number: int, proposed: pa.Schema) -> None:
        if self._outputs is not None:
            self._executor.send(number, UseSchema(self._outputs))
            return
        self._outputs = self._hooks.agree(proposed)
        for other, worker in self._workers.items():
            if worker.ready:
                self._executor.send(other, UseSchema(self._outputs))

    def _part_done(self, worker: _Worker, event: PartDone) -> None:
        task = worker.tasks[event.task]
        samples = event.samples
        tried = None if event.written is None else event.partitions
        self._tally.add(rows=event.rows, errors=event.errors, shard=task.shard.index, samples=samples, tried=tried)
        for name, value in event.metrics.items():
            self._live.metrics[name] = self._live.metrics.get(name, 0) + value
        if event.rows > event.errors:
            self._toll.succeeded()
            self._commits += self._convictions
            self._convictions = []
        kept = event.file is not None or event.rows == 0 or (event.written == 0 and not event.spoiled)
        ends = event.last and task.stop is None
        if kept and not (event.rows == 0 and not ends):
            commits = self._commits if task.verdict is None else self._convictions
            commits.append(
                Commit(
                    shard=task.shard.index,
                    start=event.start,
                    rows=event.rows,
                    file=event.file,
                    bytes=event.bytes,
                    errors=event.errors,
                    schema=event.digest,
                    metrics=dict(event.metrics),
                    last=ends or event.start + event.rows == task.shard.rows,
                    partitions=event.partitions,
                    written=event.written,
                )
            )
        if event.last:
            self._forget(worker, event.task)
            if ends or task.stop == task.shard.rows:
                self._live.shards += 1
        else:
            worker.tasks[event.task] = replace(task, start=event.start + event.rows)

    def _forget(self, worker: _Worker, task: int) -> Task:
        worker.begun.discard(task)
        worker.announced = None
        return worker.tasks.pop(task)

    def _task_failed(self, worker: _Worker, event: TaskFailed) -> str | None:
        task = self._forget(worker, event.task)
        if not event.retryable or task.failures + 1 >= _TRIES:
            tries = f", after {task.failures + 1} tries" if task.failures else ""
            return f"shard {task.shard.index} could not be done{tries}: {event.type}: {event.message}"
        delay = 2.0**task.failures
        self._queue.give_back(replace(task, failures=task.failures + 1), at=time.monotonic() + delay)
        return None

    def _died(self, number: int, worker: _Worker, reason: str) -> str | None:
        if worker.engine is not None:
            reason = f"its engine died: {worker.engine.reason}"
        self._hooks.log(number, f"worker {number} died: {reason}\n")
        self._live.workers -= worker.ready
        self._live.accounts.pop(number, None)
        suspects = worker.begun & set(worker.tasks) or set(list(worker.tasks)[:1] if worker.ready else [])
        convicted = False
        for task_id, task in list(worker.tasks.items()):
            for again in _after_death(task, worker.announced, reason) if task_id in suspects else [task]:
                convicted = convicted or (again.verdict is not None and task.verdict is None)
                self._queue.give_back(again)
        problem = self._toll.died(number, reason, was_ready=worker.ready, convicted=convicted)
        if problem is not None:
            return problem
        self._workers[number] = _Worker()
        self._executor.restart(number)
        return None

    def _assign(self) -> None:
        now = time.monotonic()
        for number, worker in self._workers.items():
            if not worker.ready:
                continue
            tasks = []
            while self._wants(worker):
                task = self._queue.next(now=now, alone=not worker.tasks)
                if task is None:
                    break
                worker.tasks[task.id] = task
                tasks.append(task)
                worker.wants = _less(worker.wants, task)
            if tasks:
                self._executor.send(number, Assign(tuple(tasks)))

    def _wants(self, worker: _Worker) -> bool:
        """Whether a worker should get more: enough that it never waits, little enough that others are not left idle.

        Two tasks are enough, unless they are tiny; then more, but at most half of its share of what is left. One that
        has read all of its tasks gets what it wants to hold, up to its share, and something in any case when its model
        would soon be idle.
        """
        tasks = worker.tasks.values()
        if any(task.careful for task in tasks):
            return False
        if len(tasks) < _DEPTH or (worker.wants is not None and worker.wants.is_urgent):
            return True
        workers = len(self._workers)
        if worker.wants is not None:
            return len(tasks) < _MOST and (workers == 1 or len(tasks) < self._queue.left // workers)
        rows = sum(_ENOUGH_ROWS if task.rows is None else task.rows for task in tasks)
        return rows < _ENOUGH_ROWS and len(tasks) < min(_MOST, self._queue.left // (2 * workers))


def _after_death(task: Task, announced: Announced | None, reason: str) -> list[Task]:
    if announced is None:
        return after_death(task, announced=None, reason=reason)
    rows = (announced.start, announced.stop)
    return after_death(task, announced=rows, reason=reason, is_partition=announced.is_one)


def _less(wants: Wants | None, task: Task) -> Wants | None:
    """What a worker still wants after it has got a task; one task is as urgent as it gets."""
    if wants is None or task.rows is None or task.rows >= wants.rows:
        return None
    return Wants(wants.rows - task.rows, is_urgent=False)
