"""`PendingBlock`: a block whose files are on their way."""

from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa

from gristmill.inputs.block import Block
from gristmill.resolve.supply import Supply
from gristmill.resolve.window import Fetch
from gristmill.spec.row_error import RowError

__all__ = ["Cells", "PendingBlock", "ResolvedColumn"]


class Cells(Protocol):
    """The cells of one column of a block on their way; rows are added in order, in one piece or several.

    Attributes:
        fetches: files being fetched for it.
        files: files read for the last piece.
    """

    fetches: int
    files: int

    def begin(self, rows: int) -> None:
        """Start a piece of at most so many rows."""
        ...

    def awaited(self, row: int) -> Fetch | None:
        """A file that the row still waits for; None when it can be added."""
        ...

    def add(self, row: int) -> int | RowError:
        """Add a row to the piece: the bytes of its content, or why it has none and is null."""
        ...

    def add_null(self) -> None:
        """Add a row that has failed before."""
        ...

    def finish(self) -> pa.Array:
        """The piece."""
        ...


class ResolvedColumn(Protocol):
    """A column of one schema that is resolved.

    Attributes:
        index: its place in the model's rows.
        type: the Arrow type that it becomes.
    """

    @property
    def index(self) -> int: ...  # noqa: D102
    @property
    def type(self) -> pa.DataType: ...  # noqa: D102

    def cells(self, block: Block, supply: Supply) -> Cells:
        """Its cells in a block."""
        ...


class PendingBlock:
    """A block on its way through the resolver, given away in one piece or several.

    Attributes:
        finished: all rows were given away.
        files: files that the last piece needed.
        bytes: of the rows, without content.

    Args:
        block: the block.
        columns: those that are resolved.
        supply: where content comes from.
        max_rows: cut after so many rows.
    """

    def __init__(
        self, block: Block, columns: Sequence[ResolvedColumn], *, supply: Supply, max_rows: int | None
    ) -> None:
        self.finished = False
        self.files = 0
        self.bytes = block.model_rows.nbytes
        self._block = block
        self._columns = columns
        self._cells = [column.cells(block, supply) for column in columns]
        self._max_rows = max_rows if max_rows is not None else max(block.model_rows.num_rows, 1)
        self._target = supply.target_bytes
        self._row = self._start = 0
        self._size = 0
        self._errors: dict[int, RowError] = {}
        self._begun = False

    @property
    def fetches(self) -> int:
        """Files being fetched for it, counted by cell."""
        return sum(cells.fetches for cells in self._cells)

    def advance(self) -> Block | Fetch:
        """The next rows, with their content; or the file that they wait for."""
        rows = self._block.model_rows.num_rows
        stop = min(self._start + self._max_rows, rows)
        if not self._begun:
            self._begun = True
            for cells in self._cells:
                cells.begin(stop - self._start)
        failed = self._block.errors
        row = self._row
        while row < stop and self._size < self._target:
            if failed and row in failed:
                for cells in self._cells:
                    cells.add_null()
            else:
                for cells in self._cells:
                    awaited = cells.awaited(row)
                    if awaited is not None:
                        self._row = row
                        return awaited
                for cells in self._cells:
                    added = cells.add(row)
                    if isinstance(added, RowError):
                        self._errors.setdefault(row, added)
                    else:
                        self._size += added
            row += 1
        self._row = row
        return self._cut()

    def _cut(self) -> Block:
        """The rows from the last cut up to here."""
        block, start, stop = self._block, self._start, self._row
        whole = start == 0 and stop == block.model_rows.num_rows
        rows = block.rows if whole else block.rows.slice(start, stop - start)
        model_rows = block.model_rows if whole else block.model_rows.slice(start, stop - start)
        for column, cells in zip(self._columns, self._cells, strict=True):
            name = model_rows.schema.field(column.index).name
            model_rows = model_rows.set_column(column.index, pa.field(name, column.type), cells.finish())
        self.files = sum(cells.files for cells in self._cells)
        errors = {row - start: self._errors[row] for row in self._errors}
        errors |= {row - start: block.errors[row] for row in block.errors if start <= row < stop}
        self._begun, self._errors, self._size, self._start = False, {}, 0, stop
        self.finished = stop == block.model_rows.num_rows
        return Block(block.shard, block.start + start, rows, model_rows, errors)
