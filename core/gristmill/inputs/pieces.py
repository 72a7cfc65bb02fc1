"""Pieces: rows on their way from a file's reader to blocks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from gristmill.spec.row_error import RowError

__all__ = ["Bounds", "Piece", "gathered", "null_rows"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many rows and bytes a block has at most.

    Attributes:
        rows: rows.
        bytes: bytes of its columns in memory, as well as can be told without looking at each row.
        threads: whether Arrow may use its thread pool to decode.
    """

    rows: int = 65_536
    bytes: int = 32 * 1024**2
    threads: bool = True


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive rows of a file.

    Attributes:
        rows: the planned columns; null where a row could not be read.
        errors: the rows that could not be read, by position.
    """

    rows: pa.RecordBatch
    errors: Mapping[int, RowError] = field(default_factory=dict)

    def slice(self, start: int, length: int) -> "Piece":
        """Some of its rows, without copying them."""
        if start == 0 and length == self.rows.num_rows:
            return self
        errors = {at - start: error for at, error in self.errors.items() if start <= at < start + length}
        return Piece(self.rows.slice(start, length), errors)


def null_rows(schema: pa.Schema, rows: int) -> pa.RecordBatch:
    """Rows of nothing but nulls."""
    return pa.RecordBatch.from_arrays([pa.nulls(rows, kind) for kind in schema.types], schema=schema)


def _joined(pieces: list[Piece]) -> Piece:
    if len(pieces) == 1:
        return pieces[0]
    errors: dict[int, RowError] = {}
    start = 0
    for piece in pieces:
        errors.update({start + at: error for at, error in piece.errors.items()})
        start += piece.rows.num_rows
    return Piece(pa.concat_batches([piece.rows for piece in pieces]), errors)


def _split(piece: Piece, bounds: Bounds, size: int) -> Iterator[Piece]:
    total = piece.rows.num_rows
    step = min(bounds.rows, total if size <= bounds.bytes else max(1, total * bounds.bytes // size))
    for start in range(0, total, step):
        yield piece.slice(start, min(step, total - start))


def gathered(pieces: Iterator[Piece], bounds: Bounds) -> Iterator[Piece]:
    """The same rows in pieces within bounds: large ones are split, neighbours much smaller than the bounds joined."""
    waiting: list[Piece] = []
    rows = size = 0
    for piece in pieces:
        more, bytes_ = piece.rows.num_rows, piece.rows.nbytes
        if not more:
            continue
        if waiting and (rows + more > bounds.rows or size + bytes_ > bounds.bytes):
            yield _joined(waiting)
            waiting, rows, size = [], 0, 0
        if more * 4 > bounds.rows or bytes_ * 4 > bounds.bytes:
            if waiting:
                yield _joined(waiting)
                waiting, rows, size = [], 0, 0
            yield from _split(piece, bounds, bytes_)
            continue
        waiting.append(piece)
        rows, size = rows + more, size + bytes_
    if waiting:
        yield _joined(waiting)
