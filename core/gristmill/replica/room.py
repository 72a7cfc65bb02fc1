"""How much may be on its way through a window, and how much is."""

from collections.abc import Mapping
from typing import Any

from gristmill.replica.footprint import footprint
from gristmill.spec.row_error import RowError

__all__ = ["Room"]

_GROUPED_ROWS = 4_096
_GROUPED_BYTES = 64 * 1024**2
_LEAST_ROWS = 512
_AHEAD = 16
"""Windows' worth of rows that may be on their way, from being read to being written, so that one slow row holds up no
others."""
_AHEAD_BUFFERS = 4
"""The same in buffers' worth, where rows are sent in another order: a sweep over the buffer takes about two."""
_HELD_BYTES = 256 * 1024**2
"""Results that wait for those before them to be written, and the same of the rows as they were read."""
_FIRST = 32
_EVERY = 256
_FORGET = 1 / 16


class Room:
    """How much may be on its way, and how much is. The feed counts rows in, the window and the sink count them out.

    Each count has one writer, so that none needs a lock. How large results are is measured on the first that come back
    and then on every 256th.

    Args:
        window: rows in flight.
        has_keys: whether rows may be sent in another order than they arrive in.

    Attributes:
        result_bytes: of one result, on average; 0 while none is known.

    Example:
        >>> room = Room(window=64, has_keys=False)
        >>> room.most
        1024
        >>> room.finished({"text": "x" * 1_000_000})  # so large that fewer may be held
        >>> room.most
        268
    """

    def __init__(self, *, window: int, has_keys: bool) -> None:
        self.is_grouping = has_keys
        self.read_rows = self.read_bytes = self.read_waiting = self.read_input_bytes = 0  # by the feed
        self.sent_rows = self.sent_bytes = self.finished_rows = 0  # by the window, as is the next
        self.result_bytes = 0.0
        self.written_rows = self.written_input_bytes = 0  # by the sink
        self._plain = max(2 * window, _LEAST_ROWS)
        self._most = max(_AHEAD * window, _AHEAD_BUFFERS * _GROUPED_ROWS if has_keys else 0)
        self._least = 2 * window

    @property
    def most(self) -> int:
        """Rows from reading to writing; fewer where results are large, though never less than two windows' worth."""
        if not self.result_bytes:
            return self._most
        return max(self._least, min(self._most, int(_HELD_BYTES / self.result_bytes)))

    @property
    def capacity(self) -> int:
        """Rows that should wait to be sent."""
        rows = max(self._plain, _GROUPED_ROWS) if self.is_grouping else self._plain
        return min(rows, max(1, self.most // _AHEAD_BUFFERS)) if self.is_grouping else rows

    @property
    def waiting(self) -> int:
        """Rows that wait to be sent."""
        return self.read_waiting - self.sent_rows

    @property
    def is_full(self) -> bool:
        """Whether so many results wait to be written that no more should come.

        The feed stops long before, unless it has read rows while it was not known how large their results are.
        """
        held = self.finished_rows - self.written_rows
        return held >= self._least and held >= self.most

    def is_there(self) -> bool:
        """Whether one more block may be read; always when nothing is on its way."""
        on_their_way = self.read_rows - self.written_rows
        return on_their_way == 0 or (
            self.waiting < self.capacity
            and self.read_bytes - self.sent_bytes < _GROUPED_BYTES
            and on_their_way < self.most
            and (on_their_way < self._least or self.read_input_bytes - self.written_input_bytes < _HELD_BYTES)
        )

    def finished(self, result: Mapping[str, Any] | RowError) -> None:
        """Count a row that has come back, and measure its result now and then."""
        count = self.finished_rows = self.finished_rows + 1
        if count <= _FIRST or not count % _EVERY:
            size = footprint(result)
            if self.result_bytes:
                self.result_bytes += (size - self.result_bytes) * max(_FORGET, 1 / count)
            else:
                self.result_bytes = float(size)

    def wrote(self, rows: int, input_bytes: int) -> None:
        """Count rows that have been written, and their bytes as they were read."""
        self.written_rows += rows
        self.written_input_bytes += input_bytes
