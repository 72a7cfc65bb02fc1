"""The feed of a window: a thread that makes rows of blocks, as far ahead as there is room."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gristmill.inputs.block import Block
from gristmill.replica.stream import Item, TaskEnd, TaskStart

__all__ = ["Arrival", "Feed", "Room"]

_GROUPED_ROWS = 4_096
_GROUPED_BYTES = 64 * 1024**2
_LEAST_ROWS = 512
_AHEAD = 16
"""Windows' worth of rows that may be on their way, from being read to being written, so that one slow row holds up no
others."""
_AHEAD_BUFFERS = 4
"""The same in buffers' worth, where rows are sent in another order: a sweep over the buffer takes about two."""
_RESULT_BYTES = 256 * 1024**2
_PYTHON = 4
"""How many times larger results are as Python objects than in Arrow, roughly."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A block as rows.

    Attributes:
        block: the block.
        cells: its rows, as the model receives them.
        keys: what to group each by; None where that is not asked.
        row_bytes: bytes of one row, on average.
    """

    block: Block
    cells: Sequence[Mapping[str, Any]]
    keys: Sequence[str] | None
    row_bytes: int


class Room:
    """How much may be on its way, and how much is. The feed counts rows in, others count them out.

    Each count has one writer, so that none needs a lock.

    Args:
        window: rows in flight.
        has_keys: whether rows may be sent in another order than they arrive in.
    """

    def __init__(self, *, window: int, has_keys: bool) -> None:
        self.is_grouping = has_keys
        self.read_rows = self.read_bytes = self.read_waiting = 0  # by the feed
        self.sent_rows = self.sent_bytes = 0  # by the window
        self.written_rows = 0  # by the sink, as is the next
        self.mean_bytes = 0.0
        self._plain = max(2 * window, _LEAST_ROWS)
        self._most = max(_AHEAD * window, _AHEAD_BUFFERS * _GROUPED_ROWS if has_keys else 0)
        self._least = 2 * window

    @property
    def most(self) -> int:
        """Rows from reading to writing; fewer where results are large."""
        if not self.mean_bytes:
            return self._most
        return max(self._least, min(self._most, int(_RESULT_BYTES / (_PYTHON * self.mean_bytes))))

    @property
    def capacity(self) -> int:
        """Rows that should wait to be sent."""
        rows = max(self._plain, _GROUPED_ROWS) if self.is_grouping else self._plain
        return min(rows, max(1, self.most // _AHEAD_BUFFERS)) if self.is_grouping else rows

    @property
    def waiting(self) -> int:
        """Rows that wait to be sent."""
        return self.read_waiting - self.sent_rows

    def is_there(self) -> bool:
        """Whether one more block may be read; always when nothing is on its way."""
        on_their_way = self.read_rows - self.written_rows
        return on_their_way == 0 or (
            self.waiting < self.capacity
            and self.read_bytes - self.sent_bytes < _GROUPED_BYTES
            and on_their_way < self.most
        )

    def wrote(self, rows: int, size: int) -> None:
        """Count rows that have been written, and the bytes of their results."""
        self.written_rows += rows
        mean = size / max(1, rows)
        self.mean_bytes = mean if not self.mean_bytes else 0.9 * self.mean_bytes + 0.1 * mean


class Feed:
    """Takes items from their source in a thread of its own, and hands them to an event loop.

    Attributes:
        arrivals: what has come and was not taken; None at the end, an exception where the source has raised one.
        arrived: set when something comes; to be cleared by whoever takes it.

    Args:
        source: the items; iterated in the thread.
        room: how far ahead to go.
        key: what to group a row by, if rows are grouped; called in the thread.
    """

    def __init__(
        self, source: Iterable[Item], room: Room, key: Callable[[Mapping[str, Any]], str | None] | None
    ) -> None:
        self.arrivals: deque[TaskStart | Arrival | TaskEnd | BaseException | None] = deque()
        self.arrived = asyncio.Event()
        self._source = source
        self._room = room
        self._key = key
        self._changed = threading.Condition()
        self._is_blocked = False
        self._is_closed = False
        self._idle_since: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin; from within the event loop."""
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._run, name="feed", daemon=True).start()

    def close(self) -> None:
        """Hand over nothing more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    @property
    def idle_seconds(self) -> float:
        """How long the source has had nothing."""
        since = self._idle_since
        return 0.0 if since is None else time.monotonic() - since

    def nudge(self) -> None:
        """Look again whether there is room, if the thread waits for some."""
        if self._is_blocked and self._room.is_there():
            with self._changed:
                self._changed.notify_all()

    def _run(self) -> None:
        try:
            for item in self._items():
                prepared = self._prepare(item) if isinstance(item, Block) else item
                with self._changed:
                    self._is_blocked = True  # before looking: who makes room looks at this afterwards
                    while not self._is_closed and not self._room.is_there():
                        self._changed.wait()
                    self._is_blocked = False
                if self._is_closed:
                    return
                if isinstance(prepared, Arrival):
                    rows = len(prepared.cells)
                    self._room.read_rows += rows
                    self._room.read_waiting += rows - len(prepared.block.errors)
                    self._room.read_bytes += (rows - len(prepared.block.errors)) * prepared.row_bytes
                self._hand(prepared)
            self._hand(None)
        except BaseException as error:  # noqa: BLE001 - raised again where the items are used
            self._hand(error)

    def _items(self) -> Iterator[Item]:
        items = iter(self._source)
        while True:
            self._idle_since = time.monotonic()
            item = next(items, None)
            self._idle_since = None
            if item is None:
                return
            yield item

    def _prepare(self, block: Block) -> Arrival:
        cells = block.model_rows.to_pylist()
        size = block.model_rows.nbytes
        keys = None
        if self._key is not None:
            keys = [self._key_of(row) for row in cells]
            size += sum(map(len, keys))
        return Arrival(block, cells, keys, size // max(1, len(cells)))

    def _key_of(self, row: Mapping[str, Any]) -> str:
        assert self._key is not None
        try:
            return self._key(row) or ""
        except Exception:  # noqa: BLE001 - what is wrong with a row is told when it is run, or was told before
            return ""

    def _hand(self, arrival: "TaskStart | Arrival | TaskEnd | BaseException | None") -> None:
        assert self._loop is not None
        self.arrivals.append(arrival)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.arrived.set)
