"""Opening an input file: unchanged since it was planned, and with its own failures told apart from bad content."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from gristmill.errors import ConflictError, GristmillError
from gristmill.inputs.formats import codec_of
from gristmill.plan.shards import Slice
from gristmill.storage.location import is_local, scheme_of
from gristmill.storage.storage import Storage

__all__ = ["InputFile", "check_unchanged", "file_error", "named", "open_input", "open_location"]

WHOLE = 4 * 1024**2
"""A remote file of at most so many bytes is fetched in one request."""

_CACHE_OPTION = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "http", "https"})
_SAME_CLASS = (FileNotFoundError, PermissionError, TimeoutError, ConnectionError)


class _Watched:
    """A file of fsspec that remembers how reading it failed: Arrow reports corrupt content in the same way."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.failure: BaseException | None = None

    @property
    def closed(self) -> bool:
        return bool(self._file.closed)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def read(self, size: int | None = -1) -> bytes:
        try:
            return bytes(self._file.read(-1 if size is None else size))
        except BaseException as error:
            self.failure = error
            raise

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()


class InputFile:
    """An input file.

    Args:
        location: where it stands.
        opened: opens it; anew for each pass over text.
        is_remote: whether reading it costs requests.
    """

    def __init__(self, location: str, opened: Callable[[], Any], *, is_remote: bool) -> None:
        self.location = location
        self.is_remote = is_remote
        self._open = opened
        self._watched: list[_Watched] = []

    @functools.cached_property
    def file(self) -> pa.NativeFile:
        """Its bytes, for Arrow; read by one at a time."""
        return self._another()

    def _another(self) -> pa.NativeFile:
        opened = self._open()
        if isinstance(opened, _Watched):
            self._watched.append(opened)
            opened = pa.PythonFile(opened, mode="r")
        return opened

    def text(self) -> pa.NativeFile:
        """Its bytes from the beginning, decompressed as its name says; a stream of its own at each call.

        Arrow reads text ahead in a thread, which goes on for a while when the reader has been given up: it must take
        nothing away from the next one, and closes the file itself when it lets go of it.
        """
        codec = codec_of(self.location)
        stream = self._another()
        return stream if codec is None else pa.CompressedInputStream(stream, codec)

    def is_content(self, error: BaseException) -> bool:
        """Whether an error that Arrow raised is about what the file holds, rather than about getting at it."""
        if any(watched.failure is not None for watched in self._watched):
            return False
        if isinstance(error, MemoryError | pa.ArrowNotImplementedError):
            return False
        return isinstance(error, pa.ArrowException) or (isinstance(error, OSError) and error.errno is None)

    def close(self) -> None:
        """Close the file; streams of its text close when their readers are gone."""
        if "file" in self.__dict__:
            self.file.close()


def file_error(location: str, error: BaseException) -> OSError:
    """An error of the same kind that names the file."""
    message = f"the input file {location} cannot be read: {error}"
    for kind in _SAME_CLASS:
        if isinstance(error, kind):
            return kind(message)
    return OSError(message)


@contextlib.contextmanager
def named(location: str) -> Iterator[None]:
    """Errors of storage and of Arrow come out naming the file; our own pass."""
    try:
        yield
    except GristmillError:
        raise
    except MemoryError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise file_error(location, error) from error


def check_unchanged(storage: Storage, part: Slice) -> None:
    """Refuse a file that is not the one that was planned.

    Raises:
        ConflictError: its size or version is another.
        OSError: it is gone or out of reach.
    """
    with named(part.location):
        info = storage.info(part.location)
    if info.size != part.size or (part.version and info.version != part.version):
        raise ConflictError(
            f"the input file {part.location} changed since it was planned (it had {part.size} bytes, version "
            f"{part.version or 'unknown'}; it has {info.size} bytes, version {info.version or 'unknown'}); "
            "give it another name, or force_rerun=True, for a new job over the new input"
        )


def open_location(storage: Storage, location: str, *, size: int | None = None, in_ranges: bool = False) -> InputFile:
    """A file as it is now; a small remote one (by `size`) is fetched at once.

    Args:
        storage: opens it.
        location: where it stands.
        size: its bytes, where they are known.
        in_ranges: it will be read here and there, in ranges that Arrow chooses, not from end to end.
    """
    with named(location):
        if is_local(location):
            return InputFile(location, lambda: pa.OSFile(location, "rb"), is_remote=False)
        if size is not None and size <= WHOLE:
            content = storage.read_bytes(location)
            return InputFile(location, lambda: pa.BufferReader(content), is_remote=False)
        return InputFile(location, lambda: _Watched(_stream(storage, location, in_ranges)), is_remote=True)


def _stream(storage: Storage, location: str, in_ranges: bool) -> Any:  # noqa: FBT001 - as its caller has it
    if in_ranges and scheme_of(location) in _CACHE_OPTION:
        # A cache would fetch more than the ranges asked for, and throw it away
        return storage.filesystem(location).open(storage.path(location), "rb", cache_type="none")
    return storage.open(location)


def open_input(storage: Storage, part: Slice, *, in_ranges: bool) -> InputFile:
    """A slice's file, once it is known to be the one that was planned.

    Raises:
        ConflictError: the file changed since.
        OSError: it cannot be opened.
    """
    check_unchanged(storage, part)
    return open_location(storage, part.location, size=part.size, in_ranges=in_ranges)
