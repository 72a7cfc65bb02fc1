"""Rows of an Arrow IPC file or stream."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from gristmill.inputs.fit import Fit
from gristmill.inputs.opening import InputFile, named
from gristmill.inputs.pieces import Bounds, Piece
from gristmill.inputs.window import Window

__all__ = ["arrow_schema", "read_arrow"]

_MAGIC = b"ARROW1"


def _open(file: InputFile) -> Any:
    """A reader of the IPC file or stream."""
    is_file = file.file.read(len(_MAGIC)) == _MAGIC
    file.file.seek(0)
    return pa.ipc.open_file(file.file) if is_file else pa.ipc.open_stream(file.file)


def arrow_schema(file: InputFile) -> pa.Schema:
    """The schema as the file tells it.

    Raises:
        OSError: it is no Arrow file.
    """
    with named(file.location):
        return _open(file).schema


def read_arrow(file: InputFile, schema: pa.Schema, window: Window, _bounds: Bounds) -> Iterator[Piece]:
    """The wanted rows, one of the file's own record batches at a time.

    Raises:
        SchemaError: the file's columns do not fit.
        OSError: the file cannot be read.
    """
    with named(file.location):
        reader = _open(file)
    fit = Fit(schema, reader.schema.names, what=file.location)
    batches = _batches(reader)
    while not window.is_done:
        with named(file.location):
            batch = next(batches, None)
        if batch is None:
            return
        if window.passes_over(batch.num_rows):
            continue
        offset, length = window.cut(batch.num_rows)
        yield Piece(fit(batch.slice(offset, length)))


def _batches(reader: Any) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        for at in range(reader.num_record_batches):
            yield reader.get_batch(at)
    else:
        yield from reader
