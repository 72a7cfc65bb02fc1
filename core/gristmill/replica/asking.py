"""Asking the runner for more rows before a model runs out of them."""

from collections.abc import Callable

from gristmill.replica.messages import Event, Wants
from gristmill.replica.room import Room

__all__ = ["Asking"]

_URGENT = 2


class Asking:
    """Asks for more where the worker has nothing left to read: once, and once more when that becomes urgent.

    Args:
        room: how many rows may wait.
        window: rows in flight; where fewer wait, more are urgent.
        send: tells the runner.
        is_dry: whether the worker has no task left to read.

    Example:
        >>> told = []
        >>> asking = Asking(Room(window=4, has_keys=False), window=4, send=told.append, is_dry=lambda: True)
        >>> for waiting in (10, 9, 3, 2):
        ...     asking.look(waiting)
        >>> told
        [Wants(rows=502, is_urgent=False), Wants(rows=509, is_urgent=True)]
    """

    def __init__(self, room: Room, *, window: int, send: Callable[[Event], None], is_dry: Callable[[], bool]) -> None:
        self._room = room
        self._window = window
        self._send = send
        self._is_dry = is_dry
        self._asked = 0  # 1 when more rows were asked for, _URGENT when that was urgent

    def came(self) -> None:
        """Something has come: what was asked for is answered."""
        self._asked = 0

    def end(self) -> None:
        """Nothing more can come."""
        self._asked = _URGENT

    def look(self, waiting: int) -> None:
        """Ask, if there is reason to, where so many rows wait."""
        if self._asked == _URGENT or not self._is_dry():
            return
        capacity = self._room.capacity
        if waiting >= capacity:
            return
        urgency = _URGENT if waiting < self._window else 1
        if urgency > self._asked:
            self._asked = urgency
            self._send(Wants(capacity - waiting, is_urgent=urgency == _URGENT))
