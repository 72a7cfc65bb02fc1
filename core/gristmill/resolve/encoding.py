"""What a file's content becomes on its way to a model."""

import binascii
from typing import Any

import pyarrow as pa

from gristmill.resolve.media_type import media_type
from gristmill.spec.enums import FileEncoding

__all__ = ["content_type", "encode", "encoded_size"]


def content_type(encoding: FileEncoding, *, large: bool = False) -> pa.DataType:
    """The Arrow type of a column of content.

    Args:
        encoding: the encoding.
        large: whether a batch's content may pass 2 GiB.

    Example:
        >>> content_type(FileEncoding.BASE64)
        DataType(string)
    """
    if encoding is FileEncoding.RAW_BYTES:
        return pa.large_binary() if large else pa.binary()
    return pa.large_string() if large else pa.string()


def encoded_size(size: int, encoding: FileEncoding) -> int:
    """An upper bound on the bytes that `size` bytes of content become."""
    if encoding is FileEncoding.RAW_BYTES:
        return size
    return (size + 2) // 3 * 4 + (128 if encoding is FileEncoding.BASE64_DATA_URL else 0)


def encode(content: Any, encoding: FileEncoding, *, name: str = "") -> bytes:
    """Content in an encoding; text is given as ASCII bytes.

    Args:
        content: the file's content, any buffer.
        encoding: the encoding.
        name: the file's name, for the media type of a data URL.

    Example:
        >>> encode(b"hi", FileEncoding.BASE64_DATA_URL, name="a.txt")
        b'data:text/plain;base64,aGk='
    """
    if encoding is FileEncoding.RAW_BYTES:
        return bytes(content)
    text = binascii.b2a_base64(content, newline=False)
    if encoding is FileEncoding.BASE64:
        return text
    kind = media_type(bytes(memoryview(content)[:512]), name)
    return b"data:%b;base64,%b" % (kind.encode(), text)
