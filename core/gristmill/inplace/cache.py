"""The loaded functions of this process: kept for the next call, the least recently used ones let go."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from weakref import WeakSet

from gristmill.inplace.loaded import LoadedFunction

__all__ = ["LoadedCache", "loaded_functions", "release_models"]

_KEPT = 8
"""Functions; models that are larger than memory allows need `release_models`."""


class _Entry:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users: WeakSet[object] = WeakSet()  # a user that an interrupt keeps from giving back is gone all the same
        self.loaded: LoadedFunction | None = None


class LoadedCache:
    """Loaded functions by key, at most so many that nobody uses at the moment.

    Args:
        kept: how many.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def lease(self, key: Hashable | None, load: Callable[[], LoadedFunction]) -> "_Lease":
        """The function of a key for the time of a `with`; loaded where it is not there yet, by one thread of several.

        Args:
            key: tells it from others; None keeps nothing: it is loaded, and closed afterwards.
            load: loads it.
        """
        return _Lease(self, key, load)

    def release(self) -> int:
        """Let go of all that nobody uses; says how many."""
        return self._trim(0)

    def borrow(self, key: Hashable, user: object, load: Callable[[], LoadedFunction]) -> LoadedFunction:
        """What `lease` gives to a user, whose it is until `give_back`, even if this is interrupted."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = _Entry()
            else:
                self._entries.move_to_end(key)
            entry.users.add(user)
        found = entry.loaded
        if found is None or found.is_dead:
            with entry.lock:
                if entry.loaded is None or entry.loaded.is_dead:
                    entry.loaded = load()
                found = entry.loaded
        return found

    def give_back(self, key: Hashable, user: object) -> None:
        """The end of a `borrow`."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                entry.users.discard(user)
                if entry.loaded is None and not entry.users:
                    del self._entries[key]  # it did not load
            is_full = len(self._entries) > self._kept
        if is_full:
            self._trim(self._kept)

    def _trim(self, kept: int) -> int:
        with self._lock:
            idle = [key for key, entry in self._entries.items() if not entry.users]
            surplus = max(0, len(self._entries) - kept)
            gone = [self._entries.pop(key) for key in idle[:surplus]]
        for entry in gone:
            if entry.loaded is not None:
                entry.loaded.close()
        return len(gone)


class _Lease:
    """See `LoadedCache.lease`; a generator would cost as much as all else around the call of a quick model."""

    __slots__ = ("__weakref__", "_cache", "_key", "_load", "_own")

    def __init__(self, cache: LoadedCache, key: Hashable | None, load: Callable[[], LoadedFunction]) -> None:
        self._cache, self._key, self._load = cache, key, load
        self._own: LoadedFunction | None = None

    def __enter__(self) -> LoadedFunction:
        if self._key is None:
            self._own = self._load()
            return self._own
        try:
            return self._cache.borrow(self._key, self, self._load)
        except BaseException:
            self._cache.give_back(self._key, self)
            raise

    def __exit__(self, *_: object) -> None:
        if self._key is not None:
            self._cache.give_back(self._key, self)
        elif self._own is not None:
            self._own.close()


loaded_functions = LoadedCache()
"""Those of this process."""


def release_models() -> int:
    """Let go of the models that `run` and SQL functions have loaded and that are not running; says how many functions.

    Example:
        >>> release_models() >= 0
        True
    """
    return loaded_functions.release()
