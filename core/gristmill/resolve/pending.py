"""`PendingBlock`: a block whose files are on their way."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from gristmill.inputs.block import Block
from gristmill.resolve.buffers import BufferPool
from gristmill.resolve.content import ContentColumn, content_column
from gristmill.resolve.window import Fetch, FetchWindow
from gristmill.spec.enums import FileEncoding
from gristmill.spec.row_error import RowError
from gristmill.storage.access import AccessPolicy

__all__ = ["FileColumn", "PendingBlock"]

_FIRST = 1024**2

Cell = str | Fetch | RowError | None
"""A cell on its way: a location to read on the spot, a file being fetched, a failure, or nothing."""


@dataclass(slots=True)
class FileColumn:
    """A file column of one schema.

    Attributes:
        index: its place in the model's rows.
        encoding: what its content becomes.
        type: the Arrow type of that.
        large: whether the type has 64-bit offsets.
        mean: bytes per row so far, to size the next block's memory.
    """

    index: int
    encoding: FileEncoding
    type: pa.DataType
    large: bool
    mean: float | None = None


class PendingBlock:
    """A block on its way through the resolver, given away in one piece or several.

    Attributes:
        finished: all rows were given away.
        fetches: cells whose files are being fetched.
        bytes: of the rows, without content.

    Args:
        block: the block.
        columns: its file columns.
        access: what the rows may open.
        window: fetches what is not on this machine; asked at once.
        buffers: gives the memory for content.
        fetch_local: let the window fetch local files too.
        max_rows: cut after so many rows.
        target_bytes: cut after so many bytes of content.
        max_file_bytes: a larger file is a row error.
    """

    def __init__(
        self,
        block: Block,
        columns: tuple[FileColumn, ...],
        *,
        access: AccessPolicy,
        window: FetchWindow,
        buffers: BufferPool,
        fetch_local: bool,
        max_rows: int | None,
        target_bytes: int,
        max_file_bytes: int,
    ) -> None:
        self.finished = False
        self.fetches = 0
        self.bytes = block.model_rows.nbytes
        self._block = block
        self._columns = columns
        self._access = access
        self._window = window
        self._buffers = buffers
        self._fetch_local = fetch_local
        self._max_rows = max_rows if max_rows is not None else max(block.model_rows.num_rows, 1)
        self._target = target_bytes
        self._max_file_bytes = max_file_bytes
        self._row = self._start = 0
        self._size = 0
        self._errors: dict[int, RowError] = {}
        self._building: list[ContentColumn] = []
        self._texts = [block.model_rows.column(column.index).to_pylist() for column in columns]
        self._cells = [self._locate(texts) for texts in self._texts]

    def advance(self) -> Block | Fetch:
        """The next rows, with their content; or the file that they wait for."""
        rows = self._block.model_rows.num_rows
        if not self._building:
            self._building = [self._column(column, rows - self._row) for column in self._columns]
        stop = min(self._start + self._max_rows, rows)
        single = len(self._columns) == 1
        failed = self._block.errors
        row = self._row
        while row < stop and self._size < self._target:
            if failed and row in failed:
                for building in self._building:
                    building.add_null()
            elif single:
                cell = self._cells[0][row]
                if cell.__class__ is str:
                    try:
                        self._size += self._building[0].add_local(cell)
                    except (OSError, ValueError) as error:
                        self._fail(row, 0, error)
                        self._building[0].add_null()
                elif isinstance(cell, Fetch) and not cell.done:
                    self._row = row
                    return cell
                else:
                    self._add(row, 0, cell)
            else:
                for cells in self._cells:
                    cell = cells[row]
                    if isinstance(cell, Fetch) and not cell.done:
                        self._row = row
                        return cell
                for number, cells in enumerate(self._cells):
                    self._add(row, number, cells[row])
            row += 1
        self._row = row
        return self._cut()

    def _locate(self, texts: list[Any]) -> list[Cell]:
        failed = self._block.errors
        locate = self._access.locate
        cells: list[Cell] = []
        for row, text in enumerate(texts):
            if text is None or (failed and row in failed):
                cells.append(None)
                continue
            try:
                location = locate(text)
            except (OSError, ValueError) as error:
                cells.append(RowError.of(error, step="resolve", reference=text))
                continue
            if location[0] == "/" and not self._fetch_local:
                cells.append(location)
            else:
                cells.append(self._window.request(location))
                self.fetches += 1
        return cells

    def _column(self, column: FileColumn, rows: int) -> ContentColumn:
        mean = column.mean
        rows = min(rows, self._max_rows)
        expected = _FIRST if mean is None else int(min(rows * mean * 1.1, self._target + 2 * mean))
        return content_column(
            column.encoding,
            large=column.large,
            expected=expected,
            max_file_bytes=self._max_file_bytes,
            access=self._access,
            buffers=self._buffers,
        )

    def _add(self, row: int, number: int, cell: Cell) -> None:
        """One cell of one row, in whatever state it is."""
        building = self._building[number]
        try:
            if isinstance(cell, str):
                self._size += building.add_local(cell)
                return
            if isinstance(cell, Fetch):
                self.fetches -= 1
                self._cells[number][row] = None  # its content may go
                if cell.error is not None:
                    self._fail(row, number, cell.error)
                else:
                    self._size += building.add_content(cell.content, cell.location)
                self._window.release(cell)
                if cell.error is None:
                    return
            elif isinstance(cell, RowError):
                self._errors.setdefault(row, cell)
        except (OSError, ValueError) as error:
            self._fail(row, number, error)
        building.add_null()

    def _fail(self, row: int, number: int, error: Exception) -> None:
        if row not in self._errors:
            self._errors[row] = RowError.of(error, step="resolve", reference=self._texts[number][row])

    def _cut(self) -> Block:
        """The rows from the last cut up to here."""
        block, start, stop = self._block, self._start, self._row
        whole = start == 0 and stop == block.model_rows.num_rows
        rows = block.rows if whole else block.rows.slice(start, stop - start)
        model_rows = block.model_rows if whole else block.model_rows.slice(start, stop - start)
        for column, building in zip(self._columns, self._building, strict=True):
            content = building.finish()
            if stop > start:
                column.mean = sum(buffer.size for buffer in content.buffers() if buffer is not None) / (stop - start)
            name = model_rows.schema.field(column.index).name
            model_rows = model_rows.set_column(column.index, pa.field(name, column.type), content)
        errors = {row - start: self._errors[row] for row in self._errors}
        errors |= {row - start: block.errors[row] for row in block.errors if start <= row < stop}
        self._building, self._errors, self._size, self._start = [], {}, 0, stop
        self.finished = stop == block.model_rows.num_rows
        return Block(block.shard, block.start + start, rows, model_rows, errors)
