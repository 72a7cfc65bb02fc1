"""What the engine's own processes print, which tells why they do not start: heard by the worker that starts them."""

import contextlib
import io
import os
import re
import sys
import threading
from collections import deque
from collections.abc import Iterator
from typing import TextIO

__all__ = ["Heard", "heard_processes"]

_KEPT = 400
_LAST_WORDS = 1.0
"""Seconds for what a process printed before its end to arrive."""
_ERROR = re.compile(r"(?:^|\s)((?:[a-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception)): \S.*")
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_EMPTY = ("Engine core initialization failed", "WorkerProc initialization failed")
"""vLLM's errors that only point at others."""


class Heard:
    """The lines that processes have printed lately."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_KEPT)
        self._thread: threading.Thread | None = None

    def listen(self, pipe: int, out: TextIO) -> None:
        """Pass on what comes through a pipe, for as long as somebody holds its other end."""
        self._thread = threading.Thread(target=self._pass_on, args=(pipe, out), name="engine-output", daemon=True)
        self._thread.start()

    def _pass_on(self, pipe: int, out: TextIO) -> None:
        with os.fdopen(pipe, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                self._lines.append(line)
                with contextlib.suppress(OSError, ValueError):  # nobody reads it any more; the process must go on
                    out.write(line)
                    out.flush()

    def reason(self) -> str | None:
        """The last error that was printed, as Python prints the last line of a traceback."""
        if self._thread is not None:
            self._thread.join(_LAST_WORDS)
        lines = [_COLOUR.sub("", line) for line in list(self._lines)]
        found = [match[0].strip() for line in lines if (match := _ERROR.search(line))]
        telling = [line for line in found if not any(empty in line for empty in _EMPTY)]
        return telling[-1] if telling else None


@contextlib.contextmanager
def heard_processes() -> Iterator[Heard]:
    """Have processes that are started inside write to this one, which passes it on to its own `sys.stderr`.

    They inherit the descriptors 1 and 2, which lead elsewhere in a Ray actor than what Python code prints.
    """
    heard = Heard()
    before = os.dup(1), os.dup(2)
    ours, theirs = os.pipe()
    heard.listen(ours, _outside(before[1]))
    os.dup2(theirs, 1)
    os.dup2(theirs, 2)
    os.close(theirs)
    try:
        yield heard
    finally:
        for descriptor, place in zip(before, (1, 2), strict=True):
            os.dup2(descriptor, place)
            os.close(descriptor)


def _outside(descriptor: int) -> TextIO:
    """Where this process's Python code prints to; a copy of the descriptor where that would lead back into the pipe."""
    try:
        sys.stderr.fileno()
    except (io.UnsupportedOperation, AttributeError):
        return sys.stderr
    return os.fdopen(os.dup(descriptor), "w", encoding="utf-8", errors="replace")
