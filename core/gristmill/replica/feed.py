"""The feed of a window: a thread that makes rows of blocks, as far ahead as there is room."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gristmill.inputs.block import Block
from gristmill.replica.room import Room
from gristmill.replica.stream import Item, TaskEnd, TaskStart

__all__ = ["Arrival", "Feed"]


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


class Feed:
    """Takes items from their source in a thread of its own, and hands them to an event loop.

    Attributes:
        arrivals: what has come and was not taken; None at the end, an exception where the source has raised one.
        arrived: set when something comes; to be cleared by whoever takes it.

    Args:
        source: the items; iterated in the thread.
        room: how far ahead to go.
        key: what to group a row by, if rows are grouped; called in the thread.

    Example:
        >>> rows = pa.record_batch({"prompt": ["one", "two"]})
        >>> async def first() -> Arrival:
        ...     feed = Feed([Block(0, 0, rows, rows)], Room(window=4, has_keys=True), lambda row: row["prompt"])
        ...     feed.start()
        ...     await feed.arrived.wait()
        ...     feed.close()
        ...     return feed.arrivals.popleft()
        >>> arrival = asyncio.run(first())
        >>> arrival.cells, arrival.keys
        ([{'prompt': 'one'}, {'prompt': 'two'}], ['one', 'two'])
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
        self._has_ended = False
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
    def is_over(self) -> bool:
        """Whether all that came was taken, and nothing more comes."""
        return self._has_ended and not self.arrivals

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
                    self._room.read_input_bytes += prepared.block.rows.nbytes
                self._hand(prepared)
            self._has_ended = True
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
