"""Which tasks have rows with the model."""

from collections.abc import Callable

from gristmill.replica.messages import Began, Event, Rested

__all__ = ["Flights"]


class Flights:
    """Counts rows in flight by task, and tells the runner when a task begins and rests.

    Attributes:
        count: rows in flight.

    Args:
        send: tells the runner.

    Example:
        >>> told = []
        >>> flights = Flights(told.append)
        >>> flights.leave(3)
        >>> flights.come_back(3)
        >>> flights.rest(3)
        >>> told
        [Began(task=3), Rested(task=3)]
    """

    def __init__(self, send: Callable[[Event], None]) -> None:
        self.count = 0
        self._send = send
        self._by_task: dict[int, int] = {}

    @property
    def tasks(self) -> tuple[int, ...]:
        """The tasks that have rows in flight."""
        return tuple(task for task, count in self._by_task.items() if count)

    def leave(self, task: int) -> None:
        """A row of a task goes to the model."""
        self.count += 1
        flying = self._by_task.get(task)
        if flying is None:
            self._by_task[task] = 1
            self._send(Began(task))
        else:
            self._by_task[task] = flying + 1

    def come_back(self, task: int) -> None:
        """A row of a task is back; whoever sends the next then lets the task `rest`, if it has none."""
        self.count -= 1
        self._by_task[task] -= 1

    def rest(self, task: int) -> None:
        """Tell that a task has no row in flight, if so."""
        if not self._by_task[task]:
            del self._by_task[task]
            self._send(Rested(task))
