"""The fetch window: files on their way, bounded in number and in bytes."""

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from typing import Any

from gristmill.settings import ResolverSettings
from gristmill.storage.access import AccessPolicy
from gristmill.storage.objects import ObjectReader
from gristmill.storage.storage import Storage

__all__ = ["Fetch", "FetchWindow"]

_GUESS = 256 * 1024
_KEPT = 64 * 1024**2


class _NoRoomError(Exception):
    """A file turned out larger than what is left of the window; it goes back to the head of the queue."""


class Fetch:
    """One file that is wanted, shared by all who want it."""

    __slots__ = ("content", "done", "error", "location", "reserved", "size", "started", "urgent", "users")

    def __init__(self, location: str) -> None:
        self.location = location
        self.content: Any = None
        self.error: Exception | None = None
        self.done = False
        self.size = 0
        self.reserved = 0
        self.started = False
        self.urgent = False
        self.users = 1


class FetchWindow:
    """Fetches files in the order they are asked for, in a thread of its own.

    Bytes are bounded by what is known: a running mean until a file's size is known, then its size. The file that the
    user waits for is always let in, so the bound holds but for one file.

    `request`, `flush`, `wait_for` and `release` belong to one thread, the user's.

    Args:
        storage: the filesystems.
        access: gave the locations.
        limits: the bounds.
        wake: called from another thread when the file waited for is there.
    """

    def __init__(
        self, storage: Storage, access: AccessPolicy, limits: ResolverSettings, *, wake: Callable[[], None]
    ) -> None:
        self._limits = limits
        self._wake = wake
        self._new_reader = partial(ObjectReader, storage, access, limits)
        self._known: dict[str, Fetch] = {}
        self._unused: OrderedDict[str, Fetch] = OrderedDict()
        self._unused_bytes = 0
        self._kept = min(_KEPT, limits.max_bytes_in_flight // 4)
        self._queue: deque[Fetch] = deque()
        self._lock = threading.Lock()
        self._bytes = 0
        self._running = 0
        self._stalled = False
        self._sizes = 0
        self._mean = float(min(_GUESS, limits.max_bytes_in_flight // 2))
        self._waiting: Fetch | None = None
        self._reader: ObjectReader | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def request(self, location: str) -> Fetch:
        """The file at a location, perhaps on its way or fetched already; `flush` when all are asked for."""
        fetch = self._known.get(location)
        if fetch is None:
            fetch = self._known[location] = Fetch(location)
            self._queue.append(fetch)
            return fetch
        fetch.users += 1
        if fetch.users == 1:
            del self._unused[location]
            self._unused_bytes -= fetch.size
            self._hold(fetch.size)
        return fetch

    def flush(self) -> None:
        """Start what was asked for."""
        if not self._queue:
            return
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._serve, args=(self._loop,), name="fetch", daemon=True)
            self._thread.start()
        self._loop.call_soon_threadsafe(self._pump)

    def wait_for(self, fetch: Fetch) -> bool:
        """Put a file first, and call `wake` when it is there; False when it is there already."""
        self._waiting = fetch
        if fetch.done:
            return False
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._urge, fetch)
        return True

    def release(self, fetch: Fetch) -> None:
        """Say that one user has done with a file. The last few stay, for rows that name them again."""
        fetch.users -= 1
        if fetch.users:
            return
        self._hold(-fetch.size)
        if self._stalled and self._loop is not None:
            self._stalled = False
            self._loop.call_soon_threadsafe(self._pump)
        if fetch.error is not None or fetch.size > self._kept // 4:
            del self._known[fetch.location]
            return
        self._unused[fetch.location] = fetch
        self._unused_bytes += fetch.size
        while self._unused_bytes > self._kept or len(self._unused) > 10_000:
            location, oldest = self._unused.popitem(last=False)
            self._unused_bytes -= oldest.size
            del self._known[location]

    def close(self) -> None:
        """End the thread; what is on its way is dropped."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop = None

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            for task in self._tasks:
                task.cancel()
            loop.run_until_complete(self._end())
        finally:
            loop.close()

    async def _end(self) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._reader is not None:
            await self._reader.close()

    def _hold(self, size: int) -> None:
        with self._lock:
            self._bytes += size

    def _pump(self) -> None:
        """Start queued files while there is room; in the window's own thread."""
        while self._queue and self._running < self._limits.max_in_flight:
            fetch = self._queue[0]
            if not fetch.started and not self._reserve(fetch, fetch.size or int(self._mean)):
                self._stalled = True
                return
            self._queue.popleft()
            if not fetch.started:
                self._start(fetch)

    def _start(self, fetch: Fetch) -> None:
        fetch.started = True
        self._running += 1
        task = asyncio.get_running_loop().create_task(self._fetch(fetch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _urge(self, fetch: Fetch) -> None:
        fetch.urgent = True
        if not fetch.started and fetch in self._queue:
            self._queue.remove(fetch)
            self._queue.appendleft(fetch)
        self._pump()

    def _reserve(self, fetch: Fetch, size: int) -> bool:
        """Take room for a file; what it took before is counted."""
        with self._lock:
            more = size - fetch.reserved
            others = self._bytes - fetch.reserved
            if others > 0 and others + size > self._limits.max_bytes_in_flight and not fetch.urgent:
                return False
            self._bytes += more
            fetch.reserved = size
            return True

    def _admit(self, fetch: Fetch, size: int) -> None:
        if not self._reserve(fetch, size):
            fetch.size = size
            raise _NoRoomError

    async def _fetch(self, fetch: Fetch) -> None:
        if self._reader is None:
            self._reader = self._new_reader()
        size = 0
        try:
            fetch.content = await self._reader.read(fetch.location, admit=partial(self._admit, fetch))
            size = len(fetch.content)
        except _NoRoomError:
            self._running -= 1
            self._hold(-fetch.reserved)
            fetch.reserved = 0
            fetch.started = False
            self._queue.appendleft(fetch)
            self._pump()
            return
        except Exception as error:  # noqa: BLE001 - whatever a client raises for one file is that file's failure
            fetch.error = error
        self._running -= 1
        self._hold(size - fetch.reserved)
        fetch.reserved = fetch.size = size
        if fetch.error is None:
            self._sizes += 1
            self._mean += (size - self._mean) / min(self._sizes, 64)
        fetch.done = True
        if self._waiting is fetch:
            self._wake()
        self._pump()
