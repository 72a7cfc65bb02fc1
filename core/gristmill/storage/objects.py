"""Reading whole files, many at a time, from wherever they are."""

import errno
import os
import random
import threading
from collections.abc import Callable
from typing import Any

from fsspec.asyn import sync

from gristmill.settings import ResolverSettings
from gristmill.storage.access import AccessPolicy
from gristmill.storage.failure import FileTooLargeError, may_pass
from gristmill.storage.location import is_local, scheme_of
from gristmill.storage.s3_objects import S3Objects
from gristmill.storage.storage import Storage
from gristmill.storage.web import WebFiles

__all__ = ["ObjectReader", "open_local", "read_local"]

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_MAX_BACKOFF = 20.0
_READ = 64 * 1024

Admit = Callable[[int], None]
"""Told a file's size before its content is read; raises what then ends the reading."""


def open_local(path: str, access: AccessPolicy) -> int:
    """A file descriptor of a local file that `AccessPolicy.locate` gave.

    A link as the last name costs a second look; anything else is one system call.

    Raises:
        AccessError: it is a link that leads out of the allowed locations.
        OSError: it cannot be opened.
    """
    try:
        return os.open(path, _FLAGS)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    return os.open(access.follow(path), _FLAGS)


def read_local(path: str, access: AccessPolicy, *, max_bytes: int, admit: Admit | None = None) -> bytes:
    """The content of a local file that `AccessPolicy.locate` gave.

    Raises:
        AccessError, FileTooLargeError, OSError: as they say.
    """
    descriptor = open_local(path, access)
    try:
        size = os.fstat(descriptor).st_size
        if size > max_bytes:
            raise FileTooLargeError.of(size, max_bytes)
        if admit is not None:
            admit(size)
        pieces = []
        total = 0
        while piece := os.read(descriptor, max(size - total, 0) + _READ):
            pieces.append(piece)
            total += len(piece)
            if total > max_bytes:
                raise FileTooLargeError.of(None, max_bytes)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    finally:
        os.close(descriptor)


class ObjectReader:
    """Whole files by location, for many threads at once.

    S3 objects are read by obstore, http(s) by `WebFiles`, local files directly, anything else by its fsspec filesystem.
    Failures that may pass are tried again, with growing and random pauses.

    Args:
        storage: the filesystems.
        access: gave the locations; judges links and redirects.
        limits: bounds on time, size and tries.
    """

    def __init__(self, storage: Storage, access: AccessPolicy, limits: ResolverSettings) -> None:
        self._storage = storage
        self._access = access
        self._limits = limits
        self._closed = threading.Event()
        options = storage.settings.storage_options.get("s3", {})
        self._s3 = S3Objects(options, timeout=limits.timeout, max_bytes=limits.max_file_bytes)
        self._web = WebFiles(access, timeout=limits.timeout, max_bytes=limits.max_file_bytes)

    def read(self, location: str, *, admit: Admit) -> Any:
        """The content of a file, as a buffer.

        Args:
            location: what `AccessPolicy.locate` gave.
            admit: called with the file's size before its content is read, where that can be known.

        Raises:
            FileNotFoundError, PermissionError, FileTooLargeError, AccessError: another try is no use.
            TimeoutError: it did not come in time, at the last try too.
            OSError: it failed otherwise.
        """
        tries = 0
        while True:
            tries += 1
            try:
                return self._once(location, admit)
            except (OSError, EOFError) as error:
                if not may_pass(error):
                    raise
                if tries >= self._limits.attempts or self._closed.is_set():
                    raise _given_up(error, tries) from None
            pause = min(self._limits.backoff * 2 ** (tries - 1), _MAX_BACKOFF)
            self._closed.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads tries, hides nothing

    def close(self) -> None:
        """Try nothing again, and close connections that are idle."""
        self._closed.set()
        self._web.close()

    def _once(self, location: str, admit: Admit) -> Any:
        if is_local(location):
            return read_local(location, self._access, max_bytes=self._limits.max_file_bytes, admit=admit)
        scheme = scheme_of(location)
        if scheme == "s3":
            found = self._s3.store(location)
            if found is not None:
                return self._s3.read(*found, admit=admit)
        elif scheme in ("http", "https"):
            return self._web.read(location, admit=admit)
        return self._by_filesystem(location, admit)

    def _by_filesystem(self, location: str, admit: Admit) -> bytes:
        filesystem, path = self._storage.filesystem(location), self._storage.path(location)
        size = int(self._call(filesystem, "info", path).get("size") or 0)
        if size > self._limits.max_file_bytes:
            raise FileTooLargeError.of(size, self._limits.max_file_bytes)
        admit(size)
        return bytes(self._call(filesystem, "cat_file", path))

    def _call(self, filesystem: Any, name: str, path: str) -> Any:
        """A method of a filesystem; within the time limit where it can be interrupted."""
        if filesystem.async_impl:
            return sync(filesystem.loop, getattr(filesystem, f"_{name}"), path, timeout=self._limits.timeout)
        return getattr(filesystem, name)(path)


def _given_up(error: BaseException, tries: int) -> OSError:
    message = f"{error or type(error).__name__} (after {tries} tries)"
    if isinstance(error, TimeoutError) or getattr(error, "timed_out", False):
        return TimeoutError(message)
    return OSError(message)
