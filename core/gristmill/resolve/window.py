"""The fetch window: files on their way, bounded in number and in bytes."""

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
_KEPT_BYTES = 64 * 1024**2
_KEPT_FILES = 10_000
_CLOSING = 1.0


class _NoRoomError(Exception):
    """A file turned out larger than what is left of the window; it goes back to the head of the queue."""


class Fetch:
    """One file that is wanted, shared by all who want it.

    Attributes:
        location: the file.
        content: what was read, once `done`; None where there is an `error`.
        error: why it could not be read.
        done: whether one of the two is there.
        size: bytes of content.
    """

    __slots__ = ("content", "done", "error", "location", "queued", "reserved", "size", "urgent", "users")

    def __init__(self, location: str) -> None:
        self.location = location
        self.content: Any = None
        self.error: Exception | None = None
        self.done = False
        self.size = 0
        self.queued = True
        self.reserved = 0
        self.urgent = False
        self.users = 1


class FetchWindow:
    """Fetches files in the order they are asked for, by threads of its own.

    Bytes are counted from before a file is fetched until it is released: by the mean of the files before, then by its
    size, as soon as that is known. The file that the user waits for is always let in, so that the bound holds but for
    one file.

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
        self._reader = ObjectReader(storage, access, limits)
        self._known: dict[str, Fetch] = {}
        self._unused: OrderedDict[str, Fetch] = OrderedDict()
        self._unused_bytes = 0
        self._kept = min(_KEPT_BYTES, limits.max_bytes_in_flight // 4)
        self._asked: list[Fetch] = []
        # Below: what the threads share, under the lock of the condition.
        self._changed = threading.Condition()
        self._queue: deque[Fetch] = deque()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._bytes = 0
        self._sizes = 0
        self._mean = float(min(_GUESS, limits.max_bytes_in_flight // 2))
        self._waiting: Fetch | None = None
        self._closed = False

    def request(self, location: str) -> Fetch:
        """The file at a location, perhaps on its way or fetched already; `flush` when all are asked for."""
        fetch = self._known.get(location)
        if fetch is None:
            fetch = self._known[location] = Fetch(location)
            self._asked.append(fetch)
            return fetch
        fetch.users += 1
        if fetch.users == 1:
            del self._unused[location]
            self._unused_bytes -= fetch.size
            with self._changed:
                self._bytes += fetch.size
        return fetch

    def flush(self) -> None:
        """Start what was asked for."""
        if not self._asked:
            return
        with self._changed:
            self._queue.extend(self._asked)
            more = min(len(self._queue) - self._idle, self._limits.max_in_flight - len(self._threads))
            self._changed.notify(len(self._asked))
        self._asked = []
        for _ in range(more):
            thread = threading.Thread(target=self._work, name="fetch", daemon=True)
            self._threads.append(thread)
            thread.start()

    def wait_for(self, fetch: Fetch) -> bool:
        """Put a file first, and call `wake` when it is there; False when it is there already."""
        if fetch.done:
            return False
        with self._changed:
            if fetch.done:
                return False
            self._waiting = fetch
            fetch.urgent = True
            if fetch.queued:  # held back by its size, or by that of one before it
                self._queue.remove(fetch)
                self._queue.appendleft(fetch)
                self._changed.notify()
        return True

    def release(self, fetch: Fetch) -> None:
        """Say that one user has done with a file. The last few stay, for rows that name them again."""
        fetch.users -= 1
        if fetch.users:
            return
        with self._changed:
            self._bytes -= fetch.size
            if self._idle and self._queue:
                self._changed.notify()
        if fetch.error is not None or fetch.size > self._kept // 4:
            del self._known[fetch.location]
            return
        self._unused[fetch.location] = fetch
        self._unused_bytes += fetch.size
        while self._unused_bytes > self._kept or len(self._unused) > _KEPT_FILES:
            location, oldest = self._unused.popitem(last=False)
            self._unused_bytes -= oldest.size
            del self._known[location]

    def close(self) -> None:
        """Fetch no more. A thread whose file never comes ends with the limit on time."""
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._changed.notify_all()
        self._reader.close()
        for thread in self._threads:
            thread.join(_CLOSING)

    def _work(self) -> None:
        while (fetch := self._next()) is not None:
            error: Exception | None = None
            try:
                content = self._reader.read(fetch.location, admit=partial(self._admit, fetch))
            except _NoRoomError:
                continue
            except Exception as caught:  # noqa: BLE001 - whatever a client raises for one file is that file's failure
                error = caught
            with self._changed:
                if error is None:
                    fetch.content, fetch.size = content, len(content)
                    self._sizes += 1
                    self._mean += (fetch.size - self._mean) / min(self._sizes, 64)
                else:
                    fetch.error, fetch.size = error, 0
                self._bytes += fetch.size - fetch.reserved
                fetch.reserved = fetch.size
                fetch.done = True
                waited = self._waiting is fetch
            content = error = None  # kept by the row alone
            if waited:
                self._wake()

    def _next(self) -> Fetch | None:
        """The next file, as soon as there is room for it; None when the window is closed."""
        with self._changed:
            while True:
                if self._closed:
                    return None
                if self._queue and self._reserve(self._queue[0], self._queue[0].size or int(self._mean)):
                    fetch = self._queue.popleft()
                    fetch.queued = False
                    if self._queue and self._idle:
                        self._changed.notify()
                    return fetch
                self._idle += 1
                self._changed.wait()
                self._idle -= 1

    def _reserve(self, fetch: Fetch, size: int) -> bool:
        """Take room for a file, instead of what it has; under the lock."""
        others = self._bytes - fetch.reserved
        if others > 0 and others + size > self._limits.max_bytes_in_flight and not fetch.urgent:
            return False
        self._bytes = others + size
        fetch.reserved = size
        return True

    def _admit(self, fetch: Fetch, size: int) -> None:
        with self._changed:
            if self._reserve(fetch, size):
                return
            fetch.size = size
            self._bytes -= fetch.reserved
            fetch.reserved = 0
            fetch.queued = True
            self._queue.appendleft(fetch)
        raise _NoRoomError
