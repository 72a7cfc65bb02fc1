"""An executor whose workers are functions: they answer tasks at once, die or fail as a test wants."""

from collections import deque
from collections.abc import Callable, Sequence

from gristmill.replica.messages import (
    Announced,
    Assign,
    Began,
    Command,
    Died,
    Event,
    PartDone,
    Ready,
    Stop,
    Task,
    UseSchema,
    Wants,
    WorkerSpec,
)

Behaviour = Callable[[Task], list[Event]]


def done(task: Task) -> list[Event]:
    """A worker that does the task as one part."""
    rows = task.rows if task.rows is not None else 10
    return [Began(task.id), PartDone(task.id, task.start, rows, f"{task.id}.parquet", 1, "digest")]


def dies_on(*poison: int) -> Behaviour:
    """A worker that a row with one of these places kills, announcing calls when the task is careful."""

    def behave(task: Task) -> list[Event]:
        stop = task.start + (task.rows or 0)
        if task.verdict is not None:
            errors = tuple((place, task.verdict) for place in range(task.start, stop))
            return [
                Began(task.id),
                PartDone(task.id, task.start, stop - task.start, "x", errors=len(errors), samples=errors),
            ]
        if not any(task.start <= row < stop for row in poison):
            return done(task)
        events: list[Event] = [Began(task.id)]
        if task.careful:
            step = max(1, (stop - task.start) // 16)
            for start in range(task.start, stop, step):
                events.append(Announced(task.id, start, min(stop, start + step)))
                if any(start <= row < start + step for row in poison):
                    break
        return [*events, Died("killed by SIGKILL")]

    return behave


class StubExecutor:
    """Implements the executor protocol without processes."""

    def __init__(self, behave: Behaviour = done) -> None:
        self.behave = behave
        self.events: deque[tuple[int, Event]] = deque()
        self.assigned: list[tuple[int, Task]] = []
        self.schemas: list[tuple[int, UseSchema]] = []
        self.restarts = 0
        self.closed = False

    def start(self, spec: WorkerSpec, *, workers: int) -> None:
        for worker in range(workers):
            self.events.append((worker, Ready(0.0)))

    def restart(self, worker: int) -> None:
        self.restarts += 1
        self.events.append((worker, Ready(0.0)))

    def send(self, worker: int, command: Command) -> None:
        if isinstance(command, UseSchema):
            self.schemas.append((worker, command))
        if isinstance(command, Stop | UseSchema):
            return
        assert isinstance(command, Assign)
        for task in command.tasks:
            self.assigned.append((worker, task))
            for event in self.behave(task):
                self.events.append((worker, event))
                if isinstance(event, Died):
                    return

    def poll(self, timeout: float) -> Sequence[tuple[int, Event]]:
        found = list(self.events)
        self.events.clear()
        return found

    def close(self) -> None:
        self.closed = True

    @property
    def dashboard(self) -> str | None:
        return None


class HoldingExecutor(StubExecutor):
    """Its workers finish nothing before they hold all that they can get, as one does that sorts its rows."""

    def __init__(self, wants: Wants) -> None:
        super().__init__()
        self.wants = wants
        self.held: dict[int, list[Task]] = {}
        self.most_held: dict[int, int] = {}
        self._has_asked = False

    def send(self, worker: int, command: Command) -> None:
        if isinstance(command, Assign):
            self._has_asked = False
            self.held.setdefault(worker, []).extend(command.tasks)
            self.assigned += [(worker, task) for task in command.tasks]
            self.most_held[worker] = max(self.most_held.get(worker, 0), len(self.held[worker]))

    def poll(self, timeout: float) -> Sequence[tuple[int, Event]]:
        if self.events:
            return super().poll(timeout)
        if not self._has_asked:
            self._has_asked = True
            return [(worker, self.wants) for worker in self.held]
        held, self.held = self.held, {}
        return [(worker, event) for worker, tasks in held.items() for task in tasks for event in done(task)]
