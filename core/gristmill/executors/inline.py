"""The inline executor: workers are threads of this process.

For notebooks, debugging, `memory://` locations and tests. A model that takes the process down takes all of it.
"""

import queue
import threading
import time
import traceback
from collections.abc import Sequence

from gristmill.replica.messages import Command, Died, Event, Stop, WorkerSpec
from gristmill.replica.worker import run_worker

__all__ = ["InlineExecutor"]


class _Channel:
    def __init__(self, worker: int, events: "queue.SimpleQueue[tuple[int, Event]]") -> None:
        self._worker = worker
        self._events = events
        self.commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._is_dead = False

    def receive(self) -> Command:
        return self.commands.get()

    def send(self, event: Event, *, sure: bool = False) -> None:  # noqa: ARG002 - a queue in memory is sure
        with self._lock:
            if not self._is_dead:
                self._events.put((self._worker, event))

    def die(self, reason: str) -> None:
        """Tell the death; what other threads of the dead worker say afterwards is not heard."""
        with self._lock:
            self._is_dead = True
            self._events.put((self._worker, Died(reason)))
        self.commands.put(Stop())  # its other threads end with it


class InlineExecutor:
    """Implements `gristmill.executors.protocol.Executor` with threads."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[tuple[int, Event]] = queue.SimpleQueue()
        self._channels: dict[int, _Channel] = {}
        self._spec: WorkerSpec | None = None

    def start(self, spec: WorkerSpec, *, workers: int) -> None:
        """Start the threads."""
        self._spec = spec
        for worker in range(workers):
            self.restart(worker)

    def restart(self, worker: int) -> None:
        """Start one thread (again)."""
        channel = self._channels[worker] = _Channel(worker, self._events)
        threading.Thread(target=self._work, args=(channel,), name=f"worker-{worker}", daemon=True).start()

    def _work(self, channel: _Channel) -> None:
        assert self._spec is not None
        try:
            run_worker(self._spec, channel)
        except BaseException as error:  # noqa: BLE001 - a thread's death, told as a process's is
            traceback.print_exc()
            channel.die(f"{type(error).__name__}: {error}")

    def send(self, worker: int, command: Command) -> None:
        """Put a command into a thread's queue."""
        self._channels[worker].commands.put(command)

    def poll(self, timeout: float) -> Sequence[tuple[int, Event]]:
        """All events that have come."""
        deadline = time.monotonic() + timeout
        found: list[tuple[int, Event]] = []
        while not self._events.empty() or not found:
            try:
                found.append(self._events.get(timeout=max(0.0, deadline - time.monotonic())))
            except queue.Empty:
                break
        return found

    def close(self) -> None:
        """Tell the threads to stop; one that is inside the model goes when the model returns."""
        for channel in self._channels.values():
            channel.commands.put(Stop())

    @property
    def dashboard(self) -> str | None:
        """There is none."""
        return None
