"""A file column: each cell names one file, whose content replaces it."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from gristmill.inputs.block import Block
from gristmill.resolve.content import ContentColumn, content_column
from gristmill.resolve.supply import Supply
from gristmill.resolve.window import Fetch
from gristmill.spec.enums import FileEncoding
from gristmill.spec.row_error import RowError

__all__ = ["FileCells", "FileColumn"]

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

    def cells(self, block: Block, supply: Supply) -> "FileCells":
        """The column's cells in a block; the files are asked for at once."""
        return FileCells(self, block, supply)


class FileCells:
    """The cells of a file column in one block; see `gristmill.resolve.pending.Cells`."""

    def __init__(self, column: FileColumn, block: Block, supply: Supply) -> None:
        self.fetches = 0
        self.files = 0
        self._column = column
        self._supply = supply
        self._texts = block.model_rows.column(column.index).to_pylist()
        self._cells = self._locate(block.errors)
        self._building: ContentColumn

    def begin(self, rows: int) -> None:
        """See `Cells`."""
        mean, target = self._column.mean, self._supply.target_bytes
        self._building = content_column(
            self._column.encoding,
            large=self._column.large,
            expected=_FIRST if mean is None else int(min(rows * mean * 1.1, target + 2 * mean)),
            max_file_bytes=self._supply.max_file_bytes,
            access=self._supply.access,
            buffers=self._supply.buffers,
        )

    def awaited(self, row: int) -> Fetch | None:
        """See `Cells`."""
        cell = self._cells[row]
        return cell if isinstance(cell, Fetch) and not cell.done else None

    def add(self, row: int) -> int | RowError:
        """See `Cells`."""
        cell = self._cells[row]
        try:
            if isinstance(cell, str):
                return self._building.add_local(cell)
            if isinstance(cell, Fetch):
                return self._add_fetched(row, cell)
        except (OSError, ValueError) as error:
            cell = RowError.of(error, step="resolve", reference=self._texts[row])
        self._building.add_null()
        return 0 if cell is None else cell

    def add_null(self) -> None:
        """See `Cells`."""
        self._building.add_null()

    def finish(self) -> pa.Array:
        """See `Cells`."""
        content = self._building.finish()
        self.files = len(content)
        if self.files:
            self._column.mean = sum(buffer.size for buffer in content.buffers() if buffer is not None) / self.files
        return content

    def _add_fetched(self, row: int, fetch: Fetch) -> int:
        self.fetches -= 1
        self._cells[row] = None  # its content may go
        try:
            if fetch.error is not None:
                raise fetch.error
            return self._building.add_content(fetch.content, fetch.location)
        finally:
            self._supply.window.release(fetch)

    def _locate(self, failed: Any) -> list[Cell]:
        locate, source = self._supply.access.locate, self._supply.source
        cells: list[Cell] = []
        for row, text in enumerate(self._texts):
            if text is None or (failed and row in failed):
                cells.append(None)
                continue
            try:
                cell = source(locate(text))
            except (OSError, ValueError) as error:
                cells.append(RowError.of(error, step="resolve", reference=text))
                continue
            cells.append(cell)
            if isinstance(cell, Fetch):
                self.fetches += 1
        return cells
