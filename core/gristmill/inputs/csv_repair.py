"""Finding the rows of a delimited text file that do not parse, or do not fit their types."""

import io
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv

from gristmill.inputs.fit import Fit
from gristmill.inputs.pieces import Piece
from gristmill.spec.row_error import RowError

__all__ = ["RawRows", "RowRepair"]

_SHOWN = 200
_HEADER = 1


@dataclass(frozen=True, slots=True)
class RawRows:
    """Consecutive rows as text.

    Attributes:
        text: the rows that have as many values as there are columns; all columns are binary.
        lines: the line in the file of each row, those left out included.
        places: for each row its place in `text`; None for a row with another number of values.
        problems: what is wrong with those, by row.
    """

    text: pa.RecordBatch
    lines: list[int]
    places: list[int | None]
    problems: Mapping[int, str]

    @property
    def count(self) -> int:
        """How many rows."""
        return len(self.places)


class RowRepair:
    """Puts rows back in order around those that do not parse, and converts the rest value by value where it must.

    Args:
        location: the file, for references.
        fit: how its columns become the planned ones.
    """

    def __init__(self, location: str, fit: Fit) -> None:
        self._location = location
        self._fit = fit
        self._invalid: deque[tuple[int, str]] = deque()  # Arrow's threads append while others are taken
        self._record = _HEADER + 1
        self._extra_lines = 0

    def on_invalid(self, row: Any) -> Literal["skip"]:
        """Remember a row with another number of values, and have the parser leave it out."""
        text = row.text if len(row.text) <= _SHOWN else row.text[:_SHOWN] + "…"
        what = f"expected {row.expected_columns} values, found {row.actual_columns}: {text}"
        self._invalid.append((row.number, what))
        return "skip"

    def rows_of(self, batch: pa.RecordBatch, *, last: bool) -> RawRows:
        """The rows of the next parsed block, with those left out between and before them."""
        newlines = _newlines(batch)
        lines: list[int] = []
        places: list[int | None] = []
        problems: dict[int, str] = {}
        for place in range(batch.num_rows + 1):
            while self._invalid and self._invalid[0][0] == self._record:
                _, problems[len(places)] = self._invalid.popleft()
                places.append(None)
                lines.append(self._record + self._extra_lines)
                self._record += 1
            if place < batch.num_rows:
                places.append(place)
                lines.append(self._record + self._extra_lines)
                self._record += 1
                if newlines is not None:
                    self._extra_lines += newlines[place]
        if last and self._invalid:
            raise AssertionError(f"rows out of step at record {self._record} of {self._location}")
        return RawRows(batch, lines, places, problems)

    def converted(self, rows: RawRows, start: int, length: int) -> Piece:
        """Rows [start, start + length) with the planned columns."""
        places = rows.places[start : start + length]
        errors = {
            at: self._error("ValueError", rows.problems[start + at], rows.lines[start + at])
            for at, place in enumerate(places)
            if place is None
        }
        text = rows.text.take(pa.array(places, pa.int64()))
        columns = []
        for name, field in zip(self._fit.names, self._fit.schema, strict=True):
            column, bad = _convert(text.column(text.schema.get_field_index(name)), field.type)
            columns.append(column)
            for at, value in bad:
                shown = value[:_SHOWN].decode("utf-8", errors="backslashreplace")
                message = f"column {name!r}: the value {shown!r} does not fit the type {field.type}"
                errors.setdefault(at, self._error("ValueError", message, rows.lines[start + at]))
        return Piece(pa.RecordBatch.from_arrays(columns, schema=self._fit.schema), dict(sorted(errors.items())))

    def _error(self, kind: str, message: str, line: int) -> RowError:
        return RowError(kind, message, "read", f"{self._location}:{line}")


def _newlines(batch: pa.RecordBatch) -> list[int] | None:
    """Line ends within the values of each row; None when there is none at all."""
    total: Any = None
    for column in batch.columns:
        counts = pc.count_substring(column, b"\n")
        if pc.sum(counts).as_py():
            total = counts if total is None else pc.add(total, counts)
    return None if total is None else total.to_pylist()


def _convert(text: pa.Array, kind: pa.DataType) -> tuple[pa.Array, list[tuple[int, bytes]]]:
    """A column of its type, null where a value does not fit; and those values by position."""
    distinct = pc.unique(text.drop_null())
    bad = _misfits(distinct, kind)
    if not bad:
        return _typed(text, kind), []
    is_bad = pc.is_in(text, value_set=pa.array(bad, pa.binary()))
    found = [(at, text[at].as_py()) for at in pc.indices_nonzero(is_bad).to_pylist()]
    return _typed(pc.if_else(is_bad, pa.scalar(None, pa.binary()), text), kind), found


def _misfits(values: pa.Array, kind: pa.DataType) -> list[bytes]:
    """The values that do not fit, found by halving."""
    if not len(values):
        return []
    try:
        _typed(values, kind)
    except pa.ArrowInvalid:
        if len(values) == 1:
            return [values[0].as_py()]
        half = len(values) // 2
        return _misfits(values[:half], kind) + _misfits(values[half:], kind)
    return []


def _typed(text: pa.Array, kind: pa.DataType) -> pa.Array:
    """Text as its type, by the very rules of the typed reader: the values are written out, quoted, and read again."""
    if kind == pa.binary():
        return text
    if kind == pa.string():
        return text.cast(kind)
    buffer = io.BytesIO()
    filled = pc.fill_null(text, b"")
    pc_csv.write_csv(
        pa.record_batch({"c": filled}), buffer, pc_csv.WriteOptions(include_header=False, quoting_style="all_valid")
    )
    table = pc_csv.read_csv(
        pa.BufferReader(buffer.getvalue()),
        read_options=pc_csv.ReadOptions(column_names=["c"], block_size=max(1, buffer.tell()), use_threads=False),
        parse_options=pc_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pc_csv.ConvertOptions(column_types={"c": kind}),
    )
    column = table.column("c").combine_chunks()
    return column if isinstance(column, pa.Array) else pa.concat_arrays(column.chunks)
