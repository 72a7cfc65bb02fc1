"""Rows of a delimited text file; a row that does not parse, or does not fit the types, becomes a row with an error."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc_csv

from gristmill.inputs.csv_repair import RowRepair
from gristmill.inputs.fit import Fit
from gristmill.inputs.formats import delimiter_of
from gristmill.inputs.opening import InputFile, file_error, named
from gristmill.inputs.pieces import Bounds, Piece
from gristmill.inputs.window import Window

__all__ = ["csv_names", "csv_schema", "read_csv"]

_BLOCK = 8 * 1024**2
"""Bytes parsed at a time, and bytes that types are inferred from."""

_HEAD = 1024**2


def _parse_options(location: str, **more: Any) -> Any:
    return pc_csv.ParseOptions(delimiter=delimiter_of(location), newlines_in_values=True, **more)


def csv_names(file: InputFile) -> list[str]:
    """The names in the first line that is not empty; none when there is no such line.

    Raises:
        OSError: the file cannot be read.
    """
    with named(file.location):
        head = bytes(file.text().read(_HEAD))
    lines = io.StringIO(head.decode("utf-8-sig", errors="replace"), newline="")
    try:
        return next((row for row in csv.reader(lines, delimiter=delimiter_of(file.location)) if row), [])
    except csv.Error as error:
        raise file_error(file.location, error) from error


def csv_schema(file: InputFile) -> pa.Schema:
    """The names and the types that the first block of rows suggests; rows of another length are passed over.

    Raises:
        OSError: the file cannot be read.
    """
    names = csv_names(file)
    with named(file.location):
        reader = _opened(file, names, pa.schema([]), threads=True, on_invalid=lambda _row: "skip")
        return pa.schema([(name, pa.null()) for name in names]) if reader is None else reader.schema


def _opened(
    file: InputFile, names: list[str], types: Any, *, threads: bool, on_invalid: Any = None, wanted: Any = None
) -> Any:
    """A streaming reader; None when there is no row.

    An error in the first block is raised here already.
    """
    if not names:
        return None
    convert = pc_csv.ConvertOptions(column_types=types, include_columns=wanted)
    options = _parse_options(file.location, invalid_row_handler=on_invalid)
    read = pc_csv.ReadOptions(block_size=_BLOCK, use_threads=threads)
    try:
        return pc_csv.open_csv(file.text(), read_options=read, parse_options=options, convert_options=convert)
    except pa.ArrowInvalid as error:
        if "Empty CSV file" in str(error):  # a header without an end of line, and nothing after it
            return None
        raise


def read_csv(file: InputFile, schema: pa.Schema, window: Window, bounds: Bounds) -> Iterator[Piece]:
    """The wanted rows, in order.

    Rows are parsed and converted by Arrow in one go until something does not fit; from there on they are read as text
    and converted block by block, so that the rows at fault are found.

    Raises:
        SchemaError: the file lacks a planned column.
        OSError: the file cannot be read.
    """
    names = csv_names(file)
    if not names:
        return
    fit = Fit(schema, names, what=file.location)
    passed = 0
    try:
        reader = _opened(file, names, fit.types, threads=bounds.threads, wanted=fit.names)
        if reader is None:
            return
        while not window.is_done:
            batch = next(reader, None)
            if batch is None:
                return
            passed += batch.num_rows
            if not window.passes_over(batch.num_rows):
                offset, length = window.cut(batch.num_rows)
                yield Piece(fit(batch.slice(offset, length)))
    except (OSError, pa.ArrowException) as error:
        if not isinstance(error, pa.ArrowInvalid) or not file.is_content(error):
            raise file_error(file.location, error) from error
    else:
        return
    yield from _read_with_repair(file, names, fit, passed, window)


def _read_with_repair(file: InputFile, names: list[str], fit: Fit, done: int, window: Window) -> Iterator[Piece]:
    """The rows after the first `done`, which may hold some that do not parse or fit."""
    repair = RowRepair(file.location, fit)
    raw = pa.schema([(name, pa.binary()) for name in names])
    with named(file.location):
        reader = _opened(file, names, raw, threads=False, on_invalid=repair.on_invalid)
    while reader is not None and not window.is_done:
        with named(file.location):
            batch = next(reader, None)
        last = batch is None
        if batch is None:
            batch = pa.RecordBatch.from_arrays([pa.array([], pa.binary()) for _ in names], schema=raw)
        rows = repair.rows_of(batch, last=last)
        skipped = min(done, rows.count)
        done -= skipped
        fresh = rows.count - skipped
        if not window.passes_over(fresh):
            offset, length = window.cut(fresh)
            if length:
                yield repair.converted(rows, skipped + offset, length)
        if last:
            return
