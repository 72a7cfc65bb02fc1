"""Mailbox: a worker's end of the connection when the runner must call to hear anything.

The runner keeps one call of `exchange` waiting at the worker. It returns as soon as there are events, and the next call
brings commands and says how many events have arrived. A call that brings commands while another waits sends that one
home empty-handed, so a command never waits for an event.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from gristmill.replica.messages import Command, Event

__all__ = ["Mailbox", "Reply"]

PACE = 0.001
"""Seconds between replies to one runner: a busy worker's events travel together, a quiet one's at once."""

BATCH = 128
"""Events in one reply; a reply then stays small enough to travel inside Ray's own message."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What an exchange brings back.

    Attributes:
        first: the number of the first event, counted from the worker's start.
        events: the events, in order.
        ended: why the worker's loop has ended, once nothing is left to tell.
    """

    first: int
    events: tuple[Event, ...] = ()
    ended: str | None = None


class Mailbox:
    """A channel whose other end is `exchange`; safe from any number of threads.

    Example:
        >>> from gristmill.replica.messages import Began, Stop
        >>> mailbox = Mailbox()
        >>> mailbox.send(Began(7))
        >>> mailbox.exchange(0, 0, (Stop(),))
        Reply(first=0, events=(Began(task=7),), ended=None)
        >>> mailbox.receive()
        Stop()
    """

    def __init__(self, *, pace: float = PACE) -> None:
        self._pace = pace
        self._changed = threading.Condition()
        self._commands: deque[Command] = deque()
        self._events: deque[Event] = deque()
        self._taken = 0  # events that an exchange has carried away
        self._received = 0  # events that the runner says it has
        self._urgent = 0  # events up to this number are awaited by their senders
        self._turn = 0  # the exchange to come
        self._last = 0.0
        self._ended: str | None = None

    def receive(self) -> Command:
        """The next command; waits for it."""
        with self._changed:
            while not self._commands:
                self._changed.wait()
            return self._commands.popleft()

    def send(self, event: Event, *, sure: bool = False) -> None:
        """Tell an event; with `sure`, return when the runner has it."""
        with self._changed:
            self._events.append(event)
            number = self._taken + len(self._events)
            if sure:
                self._urgent = number
            if sure or len(self._events) == 1:
                self._changed.notify_all()
            while sure and self._received < number:
                self._changed.wait()

    def end(self, reason: str) -> None:
        """Nothing more will be told, for this reason."""
        with self._changed:
            self._ended = reason
            self._changed.notify_all()

    def exchange(self, turn: int, received: int, commands: Sequence[Command]) -> Reply:
        """Bring commands, wait for events.

        Args:
            turn: the number of this call, from 0; calls take effect in this order whatever order they arrive in.
            received: how many events have arrived.
            commands: in order.

        Returns:
            Events; none when a later call has come meanwhile.
        """
        with self._changed:
            while turn != self._turn:
                self._changed.wait()
            self._turn += 1
            self._received = received
            self._commands.extend(commands)
            self._changed.notify_all()
            while self._turn == turn + 1:
                wait = self._pause()
                if wait is not None and wait <= 0:
                    return self._reply()
                self._changed.wait(wait)
            return Reply(self._taken)

    def _pause(self) -> float | None:
        """Seconds until a reply is due; None while there is nothing to tell."""
        if not self._events:
            return None if self._ended is None else 0.0
        if self._urgent > self._taken or len(self._events) >= BATCH:
            return 0.0
        return self._last + self._pace - time.monotonic()

    def _reply(self) -> Reply:
        first = self._taken
        events = tuple(self._events.popleft() for _ in range(min(BATCH, len(self._events))))
        self._taken += len(events)
        self._last = time.monotonic()
        return Reply(first, events, self._ended if not self._events else None)
