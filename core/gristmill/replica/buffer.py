"""The rows that wait to be sent to a row model, and the order in which they are sent."""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

__all__ = ["RowBuffer", "WaitingRow"]

_OLD = 3
"""Buffers' worth of rows that may overtake a waiting one; a full sweep takes about two."""


class WaitingRow:
    """A row that has been read and not been sent.

    Attributes:
        owner: what the row belongs to; the buffer does not look at it.
        index: the row's place there.
        cells: the row.
        key: what rows are grouped by.
        number: counted from the first row, in the order of arrival.
        size: about how many bytes it holds.
    """

    __slots__ = ("cells", "index", "key", "number", "owner", "size")

    def __init__(self, owner: Any, index: int, cells: Mapping[str, Any], *, key: str = "", size: int = 0) -> None:
        self.owner = owner
        self.index = index
        self.cells = cells
        self.key = key
        self.number = 0
        self.size = size

    def __lt__(self, other: "WaitingRow") -> bool:
        if self.key == other.key:
            return self.number < other.number
        return self.key < other.key


class RowBuffer:
    """Hands rows out in the order of their arrival, or, while `is_grouping`, in sweeps over their sorted keys.

    A sweep goes upwards from the key sent last and begins again at the lowest; rows that arrive ahead of it join it. So
    rows with equal beginnings are handed out together, and a sweep is about twice as long as the buffer. A row that
    three buffers' worth of others have overtaken is next, and the sweep goes on from there.

    Attributes:
        capacity: rows that it is meant to hold, for the bound on overtaking; it takes as many as it is given.
        numbered: rows that it has taken in so far.

    Example:
        >>> buffer = RowBuffer(capacity=10)
        >>> buffer.is_grouping = True
        >>> for index, key in enumerate(["b1", "a1", "b2", "a2"]):
        ...     buffer.add(WaitingRow(None, index, {}, key=key))
        >>> [buffer.take().key for _ in range(len(buffer))]
        ['a1', 'a2', 'b1', 'b2']
    """

    def __init__(self, *, capacity: int) -> None:
        self.capacity = capacity
        self._arrived: OrderedDict[int, WaitingRow] = OrderedDict()  # by number; what has left is not kept alive
        self._sorted: list[WaitingRow] = []
        self._at = 0  # where the sweep is in the sorted rows
        self._last: WaitingRow | None = None  # what it sent last
        self.numbered = 0
        self._is_grouping = False

    def __len__(self) -> int:
        return len(self._arrived)

    @property
    def is_grouping(self) -> bool:
        """Whether rows are sorted by their keys; may be set at any time."""
        return self._is_grouping

    @is_grouping.setter
    def is_grouping(self, value: bool) -> None:
        if value == self._is_grouping:
            return
        self._is_grouping = value
        self._sorted = sorted(self._arrived.values()) if value else []
        self.restart()

    @property
    def oldest(self) -> WaitingRow | None:
        """The row that has waited longest; None where none waits."""
        return next(iter(self._arrived.values()), None)

    def restart(self) -> None:
        """Begin the sweep anew, at the lowest key."""
        self._at = 0
        self._last = None

    def add(self, row: WaitingRow) -> None:
        """Take a row in."""
        row.number = self.numbered
        self.numbered += 1
        self._arrived[row.number] = row
        if self._is_grouping:
            place = bisect_left(self._sorted, row)
            self._sorted.insert(place, row)
            if place < self._at or (place == self._at and self._last is not None and row < self._last):
                self._at += 1

    def take(self) -> WaitingRow:
        """The next row to send.

        Raises:
            IndexError: there is none.
        """
        arrived = self._arrived
        if not self._is_grouping:
            try:
                return arrived.popitem(last=False)[1]
            except KeyError:
                raise IndexError("no row waits") from None
        oldest = self.oldest
        if oldest is None:
            raise IndexError("no row waits")
        if self.numbered - oldest.number > _OLD * self.capacity:
            self._at = bisect_left(self._sorted, oldest)
        elif self._at >= len(self._sorted):
            self._at = 0
        row = self._last = self._sorted.pop(self._at)
        del arrived[row.number]
        return row

    def take_oldest(self) -> WaitingRow:
        """The row that has waited longest, out of turn; the sweep goes on from where it is.

        Raises:
            IndexError: there is none.
        """
        row = self.oldest
        if row is None:
            raise IndexError("no row waits")
        del self._arrived[row.number]
        if self._is_grouping:
            place = bisect_left(self._sorted, row)
            del self._sorted[place]
            self._at -= place < self._at
        return row
