"""Columns of content, built file by file."""

import os
from array import array
from typing import Any

import pyarrow as pa

from gristmill.resolve.buffers import BufferPool
from gristmill.resolve.encoding import content_type, encode
from gristmill.spec.enums import FileEncoding
from gristmill.storage.access import AccessPolicy
from gristmill.storage.failure import FileTooLargeError
from gristmill.storage.objects import open_local, read_local

__all__ = ["ContentColumn", "EncodedColumn", "RawColumn", "content_column"]

_ROOM = 64 * 1024


class RawColumn:
    """A binary column. Local files are read straight into the memory that the array will have.

    Args:
        large: whether offsets have 64 bits.
        expected: about how many bytes there will be.
        max_file_bytes: a larger file is an error.
        access: judges links.
        buffers: gives the memory.
    """

    def __init__(
        self, *, large: bool, expected: int, max_file_bytes: int, access: AccessPolicy, buffers: BufferPool
    ) -> None:
        self._type = content_type(FileEncoding.RAW_BYTES, large=large)
        self._buffers = buffers
        self._offsets = array("q" if large else "i", [0])
        self._nulls: list[int] = []
        self._places: dict[str, tuple[int, int]] = {}
        self._limit = max_file_bytes
        self._access = access
        self._size = 0
        self._allocate(expected + _ROOM)

    def add_null(self) -> None:
        """A row without content."""
        self._nulls.append(len(self._offsets) - 1)
        self._offsets.append(self._size)

    def add_local(self, path: str) -> int:
        """A row with the content of a local file; its bytes.

        Raises:
            AccessError, FileTooLargeError, OSError: the file cannot be read; no row was added.
        """
        start = end = self._size
        place = self._places.get(path)
        if place is not None:
            return self._repeat(*place)
        descriptor = open_local(path, self._access)
        try:
            if self._capacity - end < _ROOM:
                self._grow(end + _ROOM)
            while count := os.readv(descriptor, (self._view[end:],)):
                end += count
                if end == self._capacity:
                    size = os.fstat(descriptor).st_size
                    if max(size, end - start) > self._limit:
                        raise FileTooLargeError.of(size, self._limit)
                    self._grow(max(start + size, end) + _ROOM)
        finally:
            os.close(descriptor)
        if end - start > self._limit:
            raise FileTooLargeError.of(end - start, self._limit)
        self._places[path] = (start, end - start)
        self._size = end
        self._offsets.append(end)
        return end - start

    def add_content(self, content: Any, name: str) -> int:  # noqa: ARG002 - the encodings share a shape
        """A row with content that is here already; its bytes."""
        size = len(content)
        if self._capacity - self._size < size:
            self._grow(self._size + size)
        self._view[self._size : self._size + size] = memoryview(content).cast("B")
        self._size += size
        self._offsets.append(self._size)
        return size

    def finish(self) -> pa.Array:
        """The array."""
        data = pa.py_buffer(self._view[: self._size])
        self._view.release()
        rows = len(self._offsets) - 1
        return pa.Array.from_buffers(
            self._type, rows, [_validity(rows, self._nulls), pa.py_buffer(self._offsets), data], len(self._nulls)
        )

    def _repeat(self, start: int, size: int) -> int:
        if self._capacity - self._size < size:
            self._grow(self._size + size)
        self._view[self._size : self._size + size] = self._view[start : start + size]
        self._size += size
        self._offsets.append(self._size)
        return size

    def _grow(self, needed: int) -> None:
        old, used = self._view, self._capacity
        self._allocate(max(needed, used * 2))
        self._view[:used] = old
        old.release()

    def _allocate(self, capacity: int) -> None:
        self._view = self._buffers.take(capacity)
        self._capacity = len(self._view)


class EncodedColumn:
    """A text column of encoded content.

    Args:
        encoding: BASE64 or BASE64_DATA_URL.
        large: whether offsets have 64 bits.
        max_file_bytes: a larger file is an error.
        access: judges links.
    """

    def __init__(self, encoding: FileEncoding, *, large: bool, max_file_bytes: int, access: AccessPolicy) -> None:
        self._encoding = encoding
        self._large = large
        self._limit = max_file_bytes
        self._access = access
        self._values: list[bytes | None] = []
        self._places: dict[str, bytes] = {}

    def add_null(self) -> None:
        """A row without content."""
        self._values.append(None)

    def add_local(self, path: str) -> int:
        """A row with the content of a local file; its bytes when encoded.

        Raises:
            AccessError, FileTooLargeError, OSError: the file cannot be read; no row was added.
        """
        text = self._places.get(path)
        if text is None:
            content = read_local(path, self._access, max_bytes=self._limit)
            text = self._places[path] = encode(content, self._encoding, name=path)
        self._values.append(text)
        return len(text)

    def add_content(self, content: Any, name: str) -> int:
        """A row with content that is here already; its bytes when encoded."""
        text = self._places.get(name)
        if text is None:
            text = self._places[name] = encode(content, self._encoding, name=name)
        self._values.append(text)
        return len(text)

    def finish(self) -> pa.Array:
        """The array."""
        binary = pa.large_binary() if self._large else pa.binary()
        # ASCII by how it was made, so its view as text needs no check.
        return pa.array(self._values, binary).view(content_type(self._encoding, large=self._large))


ContentColumn = RawColumn | EncodedColumn


def content_column(
    encoding: FileEncoding,
    *,
    large: bool,
    expected: int,
    max_file_bytes: int,
    access: AccessPolicy,
    buffers: BufferPool,
) -> ContentColumn:
    """An empty column of content in an encoding."""
    if encoding is FileEncoding.RAW_BYTES:
        return RawColumn(large=large, expected=expected, max_file_bytes=max_file_bytes, access=access, buffers=buffers)
    return EncodedColumn(encoding, large=large, max_file_bytes=max_file_bytes, access=access)


def _validity(rows: int, nulls: list[int]) -> pa.Buffer | None:
    if not nulls:
        return None
    bits = bytearray(b"\xff") * ((rows + 7) // 8)
    for row in nulls:
        bits[row >> 3] &= ~(1 << (row & 7)) & 0xFF
    return pa.py_buffer(bits)
