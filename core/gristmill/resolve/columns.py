"""Columns of file references become columns of content, and messages hold the files that they name."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import pyarrow as pa

from gristmill.chat.signature import chat_column, holds_text
from gristmill.errors import SchemaError
from gristmill.inputs.block import Block
from gristmill.resolve.buffers import BufferPool
from gristmill.resolve.encoding import content_type, encoded_size
from gristmill.resolve.file_cells import FileColumn
from gristmill.resolve.intake import Intake, NothingYet
from gristmill.resolve.message_cells import MessagesColumn
from gristmill.resolve.pending import PendingBlock, ResolvedColumn
from gristmill.resolve.supply import Supply
from gristmill.resolve.window import Fetch, FetchWindow
from gristmill.settings import ResolverSettings
from gristmill.spec.input import ColumnHandling
from gristmill.storage.access import AccessPolicy
from gristmill.storage.storage import Storage

__all__ = ["ColumnResolver", "is_slow"]

T = TypeVar("T")

_AHEAD_ITEMS = 1_024
_AHEAD_BYTES = 64 * 1024**2
_SLOW_FILE = 2e-3
_SLOW_BYTES = 500e6
_SLOW_BLOCKS = 4
"""In a row: one alone may have had to wait for something else."""
_OFFSET_LIMIT = 2**31 - 1


class ColumnResolver:
    """Replaces the cells of file columns by the content of the files they name, and files in messages by data URLs.

    Local files are read in the thread that asks for blocks; others are fetched ahead of it, in a window that spans
    blocks.

    Args:
        handling: file columns by name, in any case, and what their content becomes.
        messages: the input's own name of a column of chat messages, which becomes JSON text; None where there is none.
        storage: the filesystems.
        access: what the rows may open.
        limits: bounds on fetching.
        max_rows: at most so many rows in a block.
        target_bytes: a block is cut when its content passes this.
        fetch_local: fetch local files ahead too, by threads; found out by itself where disks are slow to answer.

    Example:
        >>> handling = {"image": ColumnHandling(input_format="full_stage_path", convert_to="raw_bytes")}
        >>> access, limits = AccessPolicy(storage), ResolverSettings()
        >>> resolver = ColumnResolver(handling, storage=storage, access=access, limits=limits)
        >>> resolver.model_schema(pa.schema({"IMAGE": pa.string()}))
        IMAGE: binary
    """

    def __init__(
        self,
        handling: Mapping[str, ColumnHandling],
        *,
        messages: str | None = None,
        storage: Storage,
        access: AccessPolicy,
        limits: ResolverSettings,
        max_rows: int | None = None,
        target_bytes: int = 32 * 1024**2,
        fetch_local: bool = False,
    ) -> None:
        self._handling = {name.lower(): one for name, one in handling.items()}
        self._names = {name.lower(): name for name in handling}
        self._messages = messages
        self._access = access
        self._limits = limits
        self._max_rows = max_rows
        self._target_bytes = target_bytes
        self._storage = storage
        self._fetch_local = fetch_local
        self._slow_blocks = 0
        self._ahead_fetches = 4 * limits.max_in_flight
        self._awake = threading.Event()
        self._window = self._new_window()
        self._buffers = BufferPool()
        self._columns: dict[pa.Schema, tuple[ResolvedColumn, ...]] = {}

    def model_schema(self, input_schema: pa.Schema) -> pa.Schema:
        """The columns as the model receives them.

        Raises:
            SchemaError: a file column is not in the input, is there twice, or does not hold text; or so the messages.
        """
        schema = input_schema
        for column in self._resolved_columns(input_schema):
            schema = schema.set(column.index, pa.field(input_schema.field(column.index).name, column.type))
        return schema

    def resolve(self, items: "Iterable[Block | T]") -> "Iterator[Block | T]":
        """The blocks with content in place of references, perhaps cut into smaller ones; other items in their places.

        A cell whose file cannot be had is null, and its row has an error of step `resolve`.
        """
        intake: Intake[Block | T] = Intake(items, wake=self._awake.set)
        waiting: deque[PendingBlock | T] = deque()
        try:
            yield from self._run(intake, waiting)
        finally:
            intake.close()
            if waiting:  # left in the middle: what is on its way has no one to go to
                self._window.close()
                self._window = self._new_window()

    def close(self) -> None:
        """End what is on its way, and the connections."""
        self._window.close()

    def _run(self, intake: "Intake[Block | T]", waiting: "deque[PendingBlock | T]") -> "Iterator[Block | T]":
        more = True
        failure: BaseException | None = None
        fetches = held = 0
        while True:
            self._awake.clear()
            # Further ahead only while files are on their way, and not too far.
            while more and (
                not waiting
                or (0 < fetches < self._ahead_fetches and held < _AHEAD_BYTES and len(waiting) < _AHEAD_ITEMS)
            ):
                try:
                    item = intake.take_now() if waiting else intake.take()
                except NothingYet:
                    break
                except StopIteration:
                    more = False
                except BaseException as error:  # noqa: BLE001 - raised below, after the items before it
                    more, failure = False, error
                else:
                    if isinstance(item, Block):
                        pending = self._begin(item)
                        fetches += pending.fetches
                        held += pending.bytes
                        waiting.append(pending)
                    else:
                        waiting.append(item)
            if not waiting:
                break
            head = waiting[0]
            if not isinstance(head, PendingBlock):
                waiting.popleft()
                yield head
                continue
            before = head.fetches
            made = self._advance(head)
            fetches += head.fetches - before
            if isinstance(made, Fetch):
                if self._window.wait_for(made):
                    self._awake.wait()
                continue
            if head.finished:
                waiting.popleft()
                held -= head.bytes
            yield made
        if failure is not None:
            raise failure

    def _advance(self, head: PendingBlock) -> Block | Fetch:
        """`head.advance`, watching how fast this machine's disks are."""
        if self._fetch_local or head.fetches:
            return head.advance()
        began = time.monotonic()
        made = head.advance()
        if isinstance(made, Block):
            seconds = time.monotonic() - began
            slow = is_slow(seconds, files=head.files, size=made.model_rows.nbytes)
            self._slow_blocks = self._slow_blocks + 1 if slow else 0
            self._fetch_local = self._slow_blocks >= _SLOW_BLOCKS
        return made

    def _new_window(self) -> FetchWindow:
        return FetchWindow(self._storage, self._access, self._limits, wake=self._awake.set)

    def _begin(self, block: Block) -> PendingBlock:
        supply = Supply(
            access=self._access,
            window=self._window,
            buffers=self._buffers,
            fetch_local=self._fetch_local,
            max_file_bytes=self._limits.max_file_bytes,
            target_bytes=self._target_bytes,
        )
        columns = self._resolved_columns(block.model_rows.schema)
        pending = PendingBlock(block, columns, supply=supply, max_rows=self._max_rows)
        self._window.flush()
        return pending

    def _resolved_columns(self, schema: pa.Schema) -> tuple[ResolvedColumn, ...]:
        known = self._columns.get(schema)
        if known is None:
            known = tuple(self._file_column(schema, name) for name in self._handling)
            if self._messages is not None:
                known = (*known, _messages_column(schema, self._messages))
            self._columns[schema] = known
        return known

    def _file_column(self, schema: pa.Schema, name: str) -> FileColumn:
        given = self._names[name]
        found = [index for index, column in enumerate(schema.names) if column.lower() == name]
        if not found:
            columns = ", ".join(schema.names) or "none"
            raise SchemaError(f"column_handling: the input has no column {given!r}; it has: {columns}")
        if len(found) > 1:
            raise SchemaError(f"column_handling: {given!r} could be {' or '.join(schema.names[i] for i in found)}")
        kind = schema.field(found[0]).type
        if not (holds_text(kind) or pa.types.is_null(kind)):
            raise SchemaError(f"column_handling: column {given!r} has type {kind}; file columns hold paths as text")
        encoding = self._handling[name].convert_to
        most = self._target_bytes + encoded_size(self._limits.max_file_bytes, encoding)
        large = most > _OFFSET_LIMIT
        return FileColumn(found[0], encoding, content_type(encoding, large=large), large)


def is_slow(seconds: float, *, files: int, size: int) -> bool:
    """Whether reading local files one after the other took so long that they had better be fetched ahead by threads.

    Example:
        >>> is_slow(5.0, files=1000, size=10**6), is_slow(1.0, files=100, size=10**9)
        (True, False)
    """
    return seconds > files * _SLOW_FILE + size / _SLOW_BYTES


def _messages_column(schema: pa.Schema, name: str) -> MessagesColumn:
    index = schema.get_field_index(name)
    if index < 0 or not chat_column(schema).is_messages:
        raise SchemaError(f"the input has no one column of messages {name!r}; it has: {', '.join(schema.names)}")
    return MessagesColumn(index, is_text=holds_text(schema.field(index).type))
