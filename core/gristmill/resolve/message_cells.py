"""A column of chat messages: the files that each cell names stand in it as data URLs, and it becomes JSON text."""

import binascii
import errno
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from gristmill.chat.content import check_content, part_types
from gristmill.chat.media import Media, may_hold_media, media_of
from gristmill.chat.messages import messages_text, parse_messages
from gristmill.inputs.block import Block
from gristmill.resolve.media_type import UNKNOWN, media_type
from gristmill.resolve.supply import Supply
from gristmill.resolve.window import Fetch
from gristmill.spec.row_error import RowError
from gristmill.storage.failure import FileTooLargeError
from gristmill.storage.objects import read_local

__all__ = ["MESSAGES_TYPE", "MessageCells", "MessagesColumn"]

MESSAGES_TYPE = pa.large_string()
"""The type of messages as a model receives them; with many files in each they may pass 2 GiB."""


@dataclass(frozen=True, slots=True)
class MessagesColumn:
    """A column of messages of one schema.

    Attributes:
        index: its place in the model's rows.
        is_text: whether it holds JSON text; else lists of structs or maps.
        type: what it becomes.
    """

    index: int
    is_text: bool
    type: pa.DataType = MESSAGES_TYPE

    def cells(self, block: Block, supply: Supply) -> "MessageCells":
        """The column's cells in a block; the files are asked for at once."""
        return MessageCells(self, block, supply)


class _Encoded(NamedTuple):
    """A file's content as base64, and what it is."""

    text: str
    media_type: str
    part_types: frozenset[str]
    head: bytes


class _Conversation:
    """The messages of one cell whose files are on their way.

    Files are put in their places in order, each as soon as it is there, so that none waits in the window for the last.
    """

    __slots__ = ("at", "error", "media", "messages", "size", "sources")

    def __init__(self, messages: list[dict[str, Any]], media: list[Media], sources: list[str | Fetch | None]) -> None:
        self.messages = messages
        self.media = media
        self.sources = sources
        self.at = 0
        self.size = 0
        self.error: RowError | None = None


Cell = str | _Conversation | RowError | None
"""A cell on its way: JSON text that is ready, messages that wait for files, a failure, or nothing."""


class MessageCells:
    """The cells of a column of messages in one block; see `gristmill.resolve.pending.Cells`."""

    def __init__(self, column: MessagesColumn, block: Block, supply: Supply) -> None:
        self.fetches = 0
        self.files = 0
        self._supply = supply
        self._values: list[str | None] = []
        self._encoded: dict[str, _Encoded] = {}
        self._encoded_bytes = 0
        self._cells = self._open(block.model_rows.column(column.index), block.errors, is_text=column.is_text)

    def begin(self, rows: int) -> None:  # noqa: ARG002 - the columns share a shape
        """See `Cells`."""
        self._values, self.files = [], 0

    def awaited(self, row: int) -> Fetch | None:
        """See `Cells`."""
        cell = self._cells[row]
        return self._fill(cell) if isinstance(cell, _Conversation) else None

    def add(self, row: int) -> int | RowError:
        """See `Cells`."""
        cell = self._cells[row]
        if isinstance(cell, str):
            self._values.append(cell)
            return 0
        self._cells[row] = None  # its content may go
        if isinstance(cell, _Conversation):
            if cell.error is None:
                try:
                    text = messages_text(cell.messages)
                except ValueError as error:
                    cell.error = RowError.of(error, step="resolve")
                else:
                    self._values.append(text)
                    return len(text)
            cell = cell.error
        self._values.append(None)
        return 0 if cell is None else cell

    def add_null(self) -> None:
        """See `Cells`."""
        self._values.append(None)

    def finish(self) -> pa.Array:
        """See `Cells`."""
        self._forget()
        return pa.array(self._values, MESSAGES_TYPE)

    def _open(self, column: pa.Array, failed: Mapping[int, RowError], *, is_text: bool) -> list[Cell]:
        cells: list[Cell] = []
        for row, value in enumerate(_values(column)):
            if value is None or (failed and row in failed):
                cells.append(None)
            elif is_text and isinstance(value, str) and not may_hold_media(value):
                cells.append(value)
            else:
                cells.append(self._begin(value))
        return cells

    def _begin(self, value: Any) -> Cell:
        """A cell that may name files."""
        reference = None
        try:
            if isinstance(value, UnicodeDecodeError):
                raise value
            messages = parse_messages(value)
            media = media_of(messages)
            if not media:
                return value if isinstance(value, str) else messages_text(messages)
            locations = []
            for one in media:
                reference = one.reference or None
                locations.append(self._supply.access.locate(one.reference) if one.reference else None)
        except (OSError, ValueError) as error:
            return RowError.of(error, step="resolve", reference=reference)
        sources = [None if location is None else self._supply.source(location) for location in locations]
        self.fetches += sum(isinstance(source, Fetch) for source in sources)
        return _Conversation(messages, media, sources)

    def _fill(self, cell: _Conversation) -> Fetch | None:
        """Put the files that are there in their places; the first that is not, or None when all are."""
        while cell.at < len(cell.sources):
            source, media = cell.sources[cell.at], cell.media[cell.at]
            if isinstance(source, Fetch):
                if not source.done:
                    return source
                self.fetches -= 1
            cell.sources[cell.at] = None
            cell.at += 1
            try:
                if cell.error is None:
                    self._put(cell, media, source)
            except (OSError, ValueError) as error:
                cell.error = RowError.of(error, step="resolve", reference=media.reference or None)
                cell.messages = []
            finally:
                if isinstance(source, Fetch):
                    self._supply.window.release(source)
        return None

    def _put(self, cell: _Conversation, media: Media, source: str | Fetch | None) -> None:
        """One file in its place.

        Raises:
            OSError, ValueError: it cannot be had, is none that an engine may have, or makes the messages too large.
        """
        if media.encoded:
            encoded, kind = media.encoded, media.media_type
            media.encoded = ""
        elif source is None:
            encoded, kind = _encode(media.content, "")
            media.content = None
            kind = media.media_type if kind == UNKNOWN and media.media_type else kind
        else:
            made = self._content(source)
            check_content(made.part_types, media.kind, media.place, made.head)
            encoded, kind = made.text, made.media_type
        cell.size += len(encoded) // 4 * 3 - encoded.endswith("=") - encoded.endswith("==")
        if cell.size > self._supply.max_file_bytes:
            raise FileTooLargeError(
                errno.EFBIG,
                f"the files of these messages have more than {self._supply.max_file_bytes:,} bytes together "
                "(settings: resolver.max_file_bytes)",
            )
        media.put(encoded, media_type=kind)

    def _content(self, source: str | Fetch) -> "_Encoded":
        """A file's content as base64, and what it is; a file that many rows name is encoded once."""
        location = source if isinstance(source, str) else source.location
        self.files += 1
        known = self._encoded.get(location)
        if known is not None:
            return known
        if isinstance(source, str):
            content: Any = read_local(source, self._supply.access, max_bytes=self._supply.max_file_bytes)
        elif source.error is not None:
            raise source.error
        else:
            content = source.content
        if not len(content):
            raise ValueError("the file is empty")
        text, kind = _encode(content, location)
        made = _Encoded(text, kind, part_types(content), bytes(memoryview(content)[:16]))
        if self._encoded_bytes > self._supply.target_bytes:
            self._forget()
        self._encoded[location] = made
        self._encoded_bytes += len(made.text)
        return made

    def _forget(self) -> None:
        self._encoded, self._encoded_bytes = {}, 0


def _encode(content: Any, name: str) -> tuple[str, str]:
    """Content as base64, and its media type."""
    kind = media_type(bytes(memoryview(content)[:512]), name)
    return binascii.b2a_base64(content, newline=False).decode("ascii"), kind


def _values(column: pa.Array) -> list[Any]:
    """A column's values; where a text is not UTF-8, the error in its place."""
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        values = []
        for cell in column:
            try:
                values.append(cell.as_py())
            except UnicodeDecodeError as error:
                values.append(error)
        return values
