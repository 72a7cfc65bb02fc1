"""What flows through a worker: blocks of rows between a task's beginning and its end, and the pumps between stages."""

import contextlib
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from gristmill.inputs.block import Block
from gristmill.replica.messages import Task

__all__ = ["Item", "Prefetch", "TaskCut", "TaskEnd", "TaskStart"]


@dataclass(frozen=True, slots=True)
class TaskStart:
    """The blocks that follow belong to this task."""

    task: Task


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """The task's rows have all passed; `error` when reading them was cut short."""

    task: Task
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class TaskCut:
    """No more of this task's results come, and the job ends: those that came are kept."""

    task: Task


Item = TaskStart | Block | TaskEnd


class Prefetch:
    """Runs an iterator of items in a thread of its own, a few items ahead of whoever iterates over this.

    An exception in the iterator is raised again where the items are used.

    Args:
        source: the items.
        depth: how many may be waiting.
        name: of the thread.
    """

    def __init__(self, source: Iterator[Item], *, depth: int, name: str) -> None:
        self._source = source
        self._queue: queue.Queue[Item | BaseException | None] = queue.Queue(depth)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._pump, name=name, daemon=True)
        self._thread.start()

    def _pump(self) -> None:
        try:
            for item in self._source:
                if not self._put(item):
                    return
            self._put(None)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that uses the items
            self._put(error)

    def _put(self, item: Item | BaseException | None) -> bool:
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Iterator[Item]:
        while True:
            item = self._queue.get()
            if item is None or self._closed.is_set():
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def close(self) -> None:
        """Stop running ahead; what is waiting is dropped, and whoever iterates over this comes to the end."""
        self._closed.set()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
