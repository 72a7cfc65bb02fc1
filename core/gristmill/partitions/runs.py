"""Sorted runs: the rows of an input in pieces that fit in memory, each sorted by key, on storage."""

import contextlib
from array import array
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from gristmill.inputs.opening import InputFile, named, open_location
from gristmill.partitions.keys import comparable, sorted_order
from gristmill.storage.storage import Storage

__all__ = ["Cut", "Run", "Runs"]

_PIECE_BYTES = 256 * 1024
_PIECES = 256
"""A run is read in so many pieces, or more where they would be larger than that."""

_OPEN = 128
"""Files of runs that are open at the same time, and pieces that are held between two reads of them."""

Cut = tuple[Any, bool]
"""A place among sorted keys: a key, as an Arrow scalar, and whether the place is after those that are equal to it."""


class Run:
    """Rows sorted by key, cut into pieces: ordinary keys, then those of NaN, then null.

    Args:
        rows: in the order of the input.
        place: of the column of keys.
        piece_bytes: of one piece, about.

    Attributes:
        firsts: the first key of each piece of ordinary keys.
        rows: the rows of each piece.
        bytes: the bytes of each piece.
        ordinary: how many pieces have ordinary keys.
        nan: how many come after these, with NaN for a key; the rest have null.
    """

    def __init__(self, rows: pa.RecordBatch, place: int, *, piece_bytes: int) -> None:
        keys = comparable(rows.column(place))
        order = sorted_order(keys)
        keys = keys.take(order)
        rows = rows.take(order)
        count = len(keys)
        nulls = keys.null_count
        strange = int(pc.sum(pc.is_nan(keys)).as_py() or 0) if kinds.is_floating(keys.type) else 0
        step = max(1, count * piece_bytes // max(1, rows.nbytes))
        self.pieces: list[pa.RecordBatch] = []
        starts = []
        numbers = []
        for first, last in (
            (0, count - strange - nulls),
            (count - strange - nulls, count - nulls),
            (count - nulls, count),
        ):
            begins = range(first, last, step)
            starts.append(list(begins))
            numbers.append(len(begins))
            self.pieces += [rows.slice(begin, min(step, last - begin)) for begin in begins]
        self.ordinary, self.nan, _ = numbers
        self.firsts = keys.take(pa.array(starts[0], pa.int64()))
        self.rows = array("q", [piece.num_rows for piece in self.pieces])
        self.bytes = array("q", [piece.nbytes for piece in self.pieces])
        self._storage: Storage | None = None
        self._location = ""
        self._file: InputFile | None = None
        self._reader: Any = None

    def spill(self, storage: Storage, location: str) -> None:
        """Write the pieces to a file, and let go of them."""
        with (
            storage.open(location, "wb") as sink,
            pa.ipc.new_file(sink, self.pieces[0].schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer,
        ):
            for piece in self.pieces:
                writer.write_batch(piece)
        self.pieces = []
        self._storage, self._location = storage, location

    def piece(self, at: int, *, keep_open: bool) -> pa.RecordBatch:
        """A piece, from memory or from its file, which then stays open if it is to be read often."""
        if self._storage is None:
            return self.pieces[at]
        with named(self._location):
            if self._reader is None:
                self._file = open_location(self._storage, self._location, in_ranges=True)
                self._reader = pa.ipc.open_file(self._file.file)
            found = self._reader.get_batch(at)
        if not keep_open:
            self.close()
        return found

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        self._file = self._reader = None


class Runs:
    """All rows of an input as sorted runs.

    Args:
        storage: where runs go that do not fit in memory.
        folder: theirs alone.
        place: of the column of keys.
        run_bytes: of one run.

    Attributes:
        count: rows so far.
    """

    def __init__(self, storage: Storage, folder: str, place: int, *, run_bytes: int) -> None:
        self._storage = storage
        self._folder = folder
        self._place = place
        self._run_bytes = run_bytes
        self._held: list[pa.RecordBatch] = []
        self._held_bytes = 0
        self._cursors: list[_Cursor] = []
        self.runs: list[Run] = []
        self.count = 0

    def add(self, rows: pa.RecordBatch) -> None:
        """Add rows, in the order of the input."""
        self._held.append(rows)
        self._held_bytes += rows.nbytes
        self.count += rows.num_rows
        if self._held_bytes >= self._run_bytes:
            run = self._sorted()
            run.spill(self._storage, f"{self._folder}/{len(self.runs):06d}.arrow")
            self.runs.append(run)

    def _sorted(self) -> Run:
        batches, self._held, self._held_bytes = self._held, [], 0
        piece_bytes = max(1, min(_PIECE_BYTES, self._run_bytes // _PIECES))
        return Run(pa.concat_batches(batches), self._place, piece_bytes=piece_bytes)

    def end(self) -> None:
        """All rows are in; what is held stays in memory."""
        if self._held:
            self.runs.append(self._sorted())
        keep = len(self.runs) <= _OPEN
        self._cursors = [_Cursor(run, self._place, keep=keep) for run in self.runs]

    def until(self, cut: Cut | None) -> Iterator[pa.RecordBatch]:
        """The rows with ordinary keys before a cut that have not been given yet, run by run; None for all the rest."""
        for cursor in self._cursors:
            yield from cursor.until(cut)

    def nan(self) -> Iterator[pa.RecordBatch]:
        """The rows whose key is NaN, in the order of the input."""
        for run in self.runs:
            yield from _pieces(run, range(run.ordinary, run.ordinary + run.nan))

    def null(self) -> Iterator[pa.RecordBatch]:
        """The rows whose key is null, in the order of the input."""
        for run in self.runs:
            yield from _pieces(run, range(run.ordinary + run.nan, len(run.rows)))

    def close(self) -> None:
        """Close all files; the folder may go."""
        for run in self.runs:
            run.close()
        with contextlib.suppress(OSError):  # it goes with the staging folder, at the latest
            self._storage.delete_tree(self._folder)


def _pieces(run: Run, places: range) -> Iterator[pa.RecordBatch]:
    for at in places:
        yield run.piece(at, keep_open=at + 1 < places.stop)


class _Cursor:
    """How far the ordinary keys of a run have been read."""

    def __init__(self, run: Run, place: int, *, keep: bool) -> None:
        self._run = run
        self._column = place
        self._keep = keep
        self._at = 0
        self._offset = 0
        self._current: pa.RecordBatch | None = None

    def until(self, cut: Cut | None) -> Iterator[pa.RecordBatch]:
        run = self._run
        while self._at < run.ordinary:
            if self._offset == 0 and cut is not None and not _is_before(run.firsts[self._at], cut):
                return
            piece = self._current
            if piece is None:
                piece = run.piece(self._at, keep_open=self._keep)
            stop = piece.num_rows if cut is None else _count_before(comparable(piece.column(self._column)), cut)
            if stop > self._offset:
                yield piece.slice(self._offset, stop - self._offset)
            if stop < piece.num_rows:
                self._offset = max(stop, self._offset)
                self._current = piece if self._keep else None
                return
            self._at, self._offset, self._current = self._at + 1, 0, None


def _is_before(key: Any, cut: Cut) -> bool:
    value, is_after = cut
    return bool((pc.less_equal if is_after else pc.less)(key, value).as_py())


def _count_before(keys: pa.Array, cut: Cut) -> int:
    value, is_after = cut
    before = (pc.less_equal if is_after else pc.less)(keys, value)
    return int(pc.sum(before).as_py() or 0)
