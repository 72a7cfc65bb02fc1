"""The queue of a run: what is left to do, in order, without holding the whole plan."""

import heapq
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace

from gristmill.plan.shards import Shard
from gristmill.replica.messages import Task

__all__ = ["TaskQueue"]


class TaskQueue:
    """Tasks to do: those given back first, then the plan's.

    Args:
        ranges: what the plan has left: shards with the ranges [start, stop) that have not committed; a stop of None
            is the shard's end.
        count: about how many ranges there are.
    """

    def __init__(self, ranges: Iterable[tuple[Shard, int, int | None]], *, count: int) -> None:
        self._count = count
        self._fresh: Iterator[tuple[Shard, int, int | None]] = iter(ranges)
        self._ids = itertools.count()
        self._back: list[tuple[float, int, Task]] = []
        self._next: Task | None = None

    def _peek(self) -> Task | None:
        if self._next is None:
            found = next(self._fresh, None)
            if found is not None:
                self._count -= 1
                self._next = Task(next(self._ids), found[0], found[1], found[2])
        return self._next

    def next(self, *, now: float, alone: bool) -> Task | None:
        """The next task; None when there is none for this worker now.

        Args:
            now: a monotonic time; a task given back with a delay waits for it.
            alone: whether the worker has nothing else to do, as a careful task demands.
        """
        if self._back and self._back[0][0] <= now and (alone or not self._back[0][2].careful):
            return heapq.heappop(self._back)[2]
        task, self._next = self._peek(), None
        return task

    def give_back(self, task: Task, *, at: float = 0.0) -> None:
        """Do this later again, not before the monotonic time `at`; it gets a new id."""
        again = replace(task, id=next(self._ids))
        heapq.heappush(self._back, (at, again.id, again))

    @property
    def left(self) -> int:
        """About how many tasks have not been handed out yet."""
        return max(0, self._count) + len(self._back) + (self._next is not None)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to hand out."""
        return not self._back and self._peek() is None
