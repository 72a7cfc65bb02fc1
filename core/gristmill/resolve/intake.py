"""Taking items from the stream before, ahead of need where that costs no wait."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

__all__ = ["Intake", "NothingYet"]

T = TypeVar("T")


class NothingYet(Exception):  # noqa: N818 - no error: the next item is not there yet
    """The stream's next item is not there yet."""


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class Intake(Generic[T]):
    """An iterable that can be asked without waiting.

    Until it is asked so for the first time, items are taken in the caller's thread. From then on a thread takes them,
    one ahead, because whoever holds unfinished work must not wait for more of it.

    Args:
        items: the stream.
        wake: called from another thread when an item or the end is there.
    """

    def __init__(self, items: Iterable[T], *, wake: Callable[[], None]) -> None:
        self._items: Iterator[T] = iter(items)
        self._wake = wake
        self._queue: queue.Queue[T | _End] = queue.Queue(1)
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def take(self) -> T:
        """The next item, when it comes.

        Raises:
            StopIteration: there are no more.
        """
        if self._thread is None:
            return next(self._items)
        return self._given(self._queue.get())

    def take_now(self) -> T:
        """The next item, if it is there.

        Raises:
            NothingYet: it is not; `wake` will be called when it is.
            StopIteration: there are no more.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ahead", daemon=True)
            self._thread.start()
        try:
            return self._given(self._queue.get_nowait())
        except queue.Empty:
            raise NothingYet from None

    def close(self) -> None:
        """Take no more."""
        self._closed.set()

    def _given(self, item: T | _End) -> T:
        if not isinstance(item, _End):
            return item
        self._queue.put(item)  # for whoever asks again
        raise item.error if item.error is not None else StopIteration

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    return
            self._put(_End(None))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that takes the items
            self._put(_End(error))

    def _put(self, item: T | _End) -> bool:
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=0.2)
            except queue.Full:
                continue
            self._wake()
            return True
        return False
