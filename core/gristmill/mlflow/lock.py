"""A lock between the processes of one machine; it is free as soon as its holder ends, however it ends."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["file_lock"]


@contextlib.contextmanager
def file_lock(path: Path, *, waits: Callable[[], None] | None = None, patient: bool = True) -> Iterator[bool]:
    """Hold a lock that a file stands for; threads exclude each other, too.

    Args:
        path: the file; it is created, and may be deleted by the holder.
        waits: called once where somebody else holds the lock.
        patient: wait for the lock; else yield False at once where it is held.

    Yields:
        Whether the lock is held.

    Raises:
        OSError: the file cannot be written.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not _take(descriptor, waits, patient=patient):
                yield False
                return
            if not _is_at(descriptor, path):
                continue  # whoever held it has deleted it meanwhile
            try:
                yield True
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child that was forked meanwhile would keep it
            return
        finally:
            os.close(descriptor)


def _take(descriptor: int, waits: Callable[[], None] | None, *, patient: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not patient:
            return False
        if waits is not None:
            waits()
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False
