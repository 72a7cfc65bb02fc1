"""Deciding whether rows are sent grouped by what they begin with, and waiting at the start until that is known."""

import asyncio
from collections.abc import Sequence

from gristmill.replica.buffer import RowBuffer
from gristmill.replica.feed import Feed
from gristmill.replica.prefixes import PrefixSample
from gristmill.replica.room import Room

__all__ = ["Grouping"]

_PAUSE = 0.25
_IDLE = 0.01
_IDLE_GROUPED = 0.05
_LOOK = 0.002
"""Seconds: the longest pause at the start, how long no rows come before it ends (longer where they gain by
being grouped), and between two looks."""


class Grouping:
    """Has a buffer group its rows as long as they gain by it.

    The first rows of a job meet the coldest cache: a window full of them, sent as they come, would be the dearest. So
    none is sent until the buffer is full or nothing more comes for a moment; for files on a disk that is 30 ms. To send
    a few meanwhile would take longer: an engine that runs in this event loop lets nobody else run during a step.

    Args:
        buffer: holds the rows.
        room: how many may wait.
        window: rows in flight.

    Attributes:
        allowed: rows that may be in flight now.

    Example:
        >>> room = Room(window=64, has_keys=True)
        >>> buffer = RowBuffer(capacity=room.capacity)
        >>> grouping = Grouping(buffer, room, window=64)
        >>> grouping.add(["ab" * 100, "cd" * 100] * 10)  # these are the first
        True
        >>> buffer.is_grouping, grouping.allowed
        (True, 0)
    """

    def __init__(self, buffer: RowBuffer, room: Room, *, window: int) -> None:
        self.allowed = window
        self._window = window
        self._buffer = buffer
        self._room = room
        self._sample = PrefixSample()
        self._has_begun = False

    def add(self, keys: Sequence[str]) -> bool:
        """Take in the keys of some more rows; returns whether they are the first, and `settle` is to be run."""
        self._sample.add(keys)
        if not self._has_begun:
            self._has_begun = True
            self._buffer.is_grouping = self._sample.look()
            self.allowed = 0
            return True
        if self.allowed and self._sample.is_due:
            self._look()
        return False

    async def settle(self, feed: Feed) -> None:
        """Wait until enough rows are known; then `allowed` is a whole window."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PAUSE
        while not feed.is_over and self._room.waiting < self._room.capacity and loop.time() < deadline:
            idle = feed.idle_seconds
            if idle >= _IDLE and (idle >= _IDLE_GROUPED or not self._sample.look_at_news()):
                break
            await asyncio.sleep(_LOOK)
        self._look()
        self.allowed = self._window

    def _look(self) -> None:
        self._buffer.is_grouping = self._room.is_grouping = self._sample.look()
        self._buffer.capacity = self._room.capacity
