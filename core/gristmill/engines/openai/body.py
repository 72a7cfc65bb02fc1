"""The body of an answer: no more of it than is allowed, whatever a service sends."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from gristmill.engines.openai.errors import ReplyError

if TYPE_CHECKING:
    import aiohttp

__all__ = ["ERROR_BYTES", "read_body", "read_error"]

ERROR_BYTES = 64 * 1024
"""What is read of an error."""

_PIECE = 256 * 1024
_GZIP_OR_ZLIB = 47


async def read_body(response: "aiohttp.ClientResponse", *, most: int, field: str) -> bytes:
    """The whole body, unpacked where it is packed though nobody asked for that.

    Args:
        response: of a session that unpacks nothing itself.
        most: bytes, packed or not.
        field: the setting that bounds it, for errors.

    Raises:
        ReplyError: it is larger, or cannot be unpacked.
    """
    found = bytearray()
    async for piece in _pieces(response):
        found += piece
        if len(found) > most:
            response.close()
            raise ReplyError(f"the answer has more than {most:,} bytes; if that is no mistake, raise {field}")
    return bytes(found)


async def read_error(response: "aiohttp.ClientResponse") -> bytes:
    """The beginning of the body of an error; nothing where it cannot be read."""
    found = bytearray()
    try:
        async for piece in _pieces(response):
            found += piece
            if len(found) > ERROR_BYTES:
                response.close()
                break
    except ReplyError:
        return b""
    return bytes(found[:ERROR_BYTES])


async def _pieces(response: "aiohttp.ClientResponse") -> AsyncIterator[bytes]:
    packing = response.headers.get("Content-Encoding", "").strip().lower()
    if packing in ("", "identity"):
        while piece := await response.content.readany():
            yield piece
        return
    if packing not in ("gzip", "x-gzip", "deflate"):
        response.close()
        raise ReplyError(f"the answer is packed as {packing!r}, though it was asked for as it is")
    unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
    while packed := await response.content.readany():
        while not unpacker.eof:
            try:
                piece = unpacker.decompress(packed, _PIECE)
            except zlib.error as error:
                response.close()
                raise ReplyError(f"the answer is packed as {packing!r}, and cannot be unpacked: {error}") from None
            packed = unpacker.unconsumed_tail
            if not piece and not packed:
                break
            if piece:
                yield piece
            await asyncio.sleep(0)  # little that was packed may be much
