"""Gristmill's own planning and coordination, without any worker: `python -m benchmarks.contestants.planning WHAT ...`.

`plan FOLDER TARGET` plans a folder of files. `coordinate SHARDS FOLDER` sends as many shards through the coordinator,
with its plan file and commit log in the folder; its replicas are stubs that say at once that a shard is done.
"""

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.harness.steady import Report
from gristmill.executors.protocol import Executor
from gristmill.outputs.commit import CommitLog
from gristmill.outputs.progress import ShardProgress
from gristmill.plan.planner import plan_shards
from gristmill.plan.policy import ShardPolicy
from gristmill.plan.shards import Shard, Slice
from gristmill.plan.store import read_plan, write_plan
from gristmill.replica.messages import Assign, Began, Command, Event, PartDone, Ready, WorkerSpec
from gristmill.runner.coordinator import Coordinator, Hooks, Live
from gristmill.runner.queue import TaskQueue
from gristmill.runner.tally import ErrorPolicy, Tally
from gristmill.settings import Settings
from gristmill.spec.enums import OnError
from gristmill.storage.storage import Storage

WORKERS = 8
ROWS = 10_000


class StubReplicas(Executor):
    """Workers that are done with a task when they get it."""

    def __init__(self) -> None:
        self._events: deque[tuple[int, Event]] = deque()

    def start(self, spec: WorkerSpec, *, workers: int) -> None:  # noqa: ARG002 - there is nothing to load
        """All are ready."""
        self._events.extend((worker, Ready(0.0)) for worker in range(workers))

    def send(self, worker: int, command: Command) -> None:
        """Do the tasks."""
        if isinstance(command, Assign):
            for task in command.tasks:
                name = f"part-{task.shard.index:08}-{task.id}.parquet"
                done = PartDone(task.id, task.start, ROWS, name, bytes=100_000, digest="0123456789abcdef")
                self._events.extend(((worker, Began(task.id)), (worker, done)))

    def poll(self, timeout: float) -> Sequence[tuple[int, Event]]:  # noqa: ARG002 - there is always something
        """All that has happened."""
        events = list(self._events)
        self._events.clear()
        return events

    def restart(self, worker: int) -> None:
        """Nobody dies."""
        raise AssertionError(worker)

    def close(self) -> None:
        """Nothing is held."""

    @property
    def dashboard(self) -> str | None:
        """None."""
        return None


def plan(folder: str, target: str) -> int:
    """Plan a folder as `run_batch` does; the number of files."""
    from gristmill.inputs.files import open_files

    storage = Storage(Settings.load())
    source = open_files(storage, folder)
    return write_plan(storage, target, plan_shards(storage, source, ShardPolicy())).files


def coordinate(shards: int, folder: str) -> Report:
    """A plan of many shards, from plan file to commit log."""
    import time

    storage = Storage(Settings.load())
    Path(folder).mkdir(parents=True, exist_ok=True)
    where = f"{folder}/plan.parquet"
    write_plan(storage, where, _shards(shards))
    start = time.monotonic()
    progress, log = ShardProgress(shards), CommitLog(storage, folder, generation=1)
    for _ in log.load(progress):
        raise AssertionError("the folder was used before")
    hooks = Hooks(
        commit=log.append,
        agree=lambda proposed: proposed,
        stop_reason=lambda: None,
        log=lambda worker, text: None,  # noqa: ARG005
    )
    left = (
        (shard, first, last) for shard in read_plan(storage, where) for first, last in progress.uncovered(shard.index)
    )
    tally = Tally(ErrorPolicy(OnError.FAIL), shards * ROWS)
    executor = StubReplicas()
    coordinator = Coordinator(executor, TaskQueue(left, count=shards), tally, hooks, live=Live())
    executor.start(None, workers=WORKERS)  # type: ignore[arg-type] - stubs need no specification
    problem = coordinator.run(workers=WORKERS)
    if problem is not None or tally.rows != shards * ROWS:
        raise SystemExit(f"{tally.rows:,} rows: {problem}")
    return Report(shards, time.monotonic() - start)


def _shards(count: int) -> Iterator[Shard]:
    for index in range(count):
        location = f"/data/day={index // 1000:04}/part-{index:08}.parquet"
        yield Shard(index, (Slice(location, 1_000_000, "1700000000", (0, 1), 0, ROWS),))


if __name__ == "__main__":
    what, report, *rest = sys.argv[1:]
    if what == "plan":
        Report(plan(*rest), None).write(Path(report))
    else:
        coordinate(int(rest[0]), rest[1]).write(Path(report))
