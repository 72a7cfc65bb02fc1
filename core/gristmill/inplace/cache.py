"""The loaded functions of this process: kept for the next call, the least recently used ones let go."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

from gristmill.inplace.loaded import LoadedFunction

__all__ = ["LoadedCache", "loaded_functions", "release_models"]

_KEPT = 8
"""Functions; models that are larger than memory allows need `release_models`."""


class _Entry:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
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

    @contextmanager
    def lease(self, key: Hashable | None, load: Callable[[], LoadedFunction]) -> Iterator[LoadedFunction]:
        """The function of a key for the time of a `with`; loaded where it is not there yet, by one thread of several.

        Args:
            key: tells it from others; None keeps nothing: it is loaded, and closed afterwards.
            load: loads it.
        """
        if key is None:
            loaded = load()
            try:
                yield loaded
            finally:
                loaded.close()
            return
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            entry.users += 1
            self._entries.move_to_end(key)
        try:
            found = entry.loaded
            if found is None or found.is_dead:
                with entry.lock:
                    if entry.loaded is None or entry.loaded.is_dead:
                        entry.loaded = load()
                    found = entry.loaded
            yield found
        finally:
            self._return(key, entry)

    def release(self) -> int:
        """Let go of all that nobody uses; says how many."""
        return self._trim(0)

    def _return(self, key: Hashable, entry: _Entry) -> None:
        with self._lock:
            entry.users -= 1
            if entry.loaded is None and not entry.users and self._entries.get(key) is entry:
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


loaded_functions = LoadedCache()
"""Those of this process."""


def release_models() -> int:
    """Let go of the models that `run` and SQL functions have loaded and that are not running; says how many functions.

    Example:
        >>> release_models() >= 0
        True
    """
    return loaded_functions.release()
