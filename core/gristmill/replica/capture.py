"""What a worker prints, as text for the runner."""

import contextlib
import io
import sys
import threading
from collections.abc import Callable, Iterator

__all__ = ["capture_output"]


class _Lines(io.TextIOBase):
    """A text stream that hands over whole lines."""

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._partial = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        with self._lock:
            whole, newline, self._partial = (self._partial + text).rpartition("\n")
        if newline:
            self._send(whole + newline)
        return len(text)

    def flush(self) -> None:
        """Lines are handed over as they end; a prompt without one waits for its end."""


@contextlib.contextmanager
def capture_output(send: Callable[[str], None]) -> Iterator[None]:
    """Send what Python code prints to standard output and error, a line or more at a time.

    What native libraries write to the file descriptors themselves goes where the process's output goes.
    """
    lines = _Lines(send)
    before = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = lines
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
