"""The one event loop of this process in which SQL's requests are made, in a thread of its own."""

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["in_loop", "shared_loop"]

T = TypeVar("T")

_CLOSING = 5.0
_lock = threading.Lock()
_running: tuple[int, asyncio.AbstractEventLoop] | None = None


def shared_loop() -> asyncio.AbstractEventLoop:
    """The loop, which runs for as long as the process does; a forked process has its own."""
    global _running  # noqa: PLW0603 - one for the process
    with _lock:
        if _running is None or _running[0] != os.getpid():
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="gristmill-sql", daemon=True).start()
            if _running is None:
                atexit.register(_close)
            _running = os.getpid(), loop
        return _running[1]


def in_loop(work: Coroutine[Any, Any, T]) -> T:
    """What work in the loop gives; called from any other thread."""
    waiting = asyncio.run_coroutine_threadsafe(work, shared_loop())
    try:
        return waiting.result()
    except BaseException:
        waiting.cancel()
        raise


def _close() -> None:
    """Close connections when the process ends."""
    if _running is not None and _running[0] == os.getpid():
        asyncio.run_coroutine_threadsafe(_running[1].shutdown_asyncgens(), _running[1]).result(_CLOSING)
