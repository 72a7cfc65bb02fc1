"""What a worker prints, as text for the runner."""

import codecs
import contextlib
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["capture_output"]

_LONGEST = 64 * 1024
"""Characters after which text is handed over without waiting for its line to end."""


class _Lines(io.TextIOBase):
    r"""A text stream that hands over whole lines; a progress bar's `\r` ends one too.

    In processes forked from this one it is `outside`: they are not the worker, and share none of its locks.
    """

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, send: Callable[[str], None], outside: TextIO) -> None:
        self._send = send
        self._outside = outside
        self._pid = os.getpid()
        self._lock = threading.RLock()  # collecting garbage may print, in the same thread
        self._pieces: list[str] = []
        self._size = 0
        self.buffer = _Bytes(self)

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        if os.getpid() != self._pid:
            self._outside.write(text)
            self._outside.flush()
            return len(text)
        with self._lock:
            self._pieces.append(text)
            self._size += len(text)
            due = self._take() if "\n" in text or "\r" in text or self._size > _LONGEST else ""
        if due:
            self._send(due)
        return len(text)

    def _take(self) -> str:
        """What is to be handed over: up to the last line's end, or everything where no end is in sight."""
        text = "".join(self._pieces)
        end = max(text.rfind("\n"), text.rfind("\r")) + 1
        if len(text) - end > _LONGEST:
            end = len(text)
        self._pieces = [text[end:]] if end < len(text) else []
        self._size = len(text) - end
        return text[:end]

    def flush(self) -> None:
        """Lines are handed over as they end; a prompt without one waits for its end."""

    def finish(self) -> None:
        """Hand over what is left."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            rest, self._pieces, self._size = "".join(self._pieces), [], 0
        if rest:
            self._send(rest)


class _Bytes(io.BufferedIOBase):
    """The stream for those that write bytes, in UTF-8."""

    def __init__(self, lines: _Lines) -> None:
        self._lines = lines
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self) -> bool:
        return True

    def write(self, data: "ReadableBuffer", /) -> int:
        content = bytes(data)
        self._lines.write(self._decoder.decode(content))
        return len(content)


@contextlib.contextmanager
def capture_output(send: Callable[[str], None]) -> Iterator[None]:
    """Send what Python code prints to standard output and error, a line or more at a time, the rest at the end.

    What native libraries write to the file descriptors themselves, and what forked processes print, goes where the
    process's output goes.
    """
    before = sys.stdout, sys.stderr
    lines = _Lines(send, sys.stdout)
    sys.stdout = sys.stderr = lines
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        lines.finish()
