"""`PartWriter`: one Parquet file of an output, written as its rows come."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec.spec import AbstractBufferedFile

from gristmill.outputs.schema import fit
from gristmill.storage.location import is_local
from gristmill.storage.storage import Storage

__all__ = ["PartFile", "PartWriter"]

_GROUP_ROWS = 256 * 1024
_GROUP_BYTES = 64 * 1024**2
_SAMPLE_ROWS = 8192
_WORTH_COMPRESSING = 0.85
_CODEC = "snappy"


@dataclass(frozen=True, slots=True)
class PartFile:
    """A finished part.

    Attributes:
        location: where it stands.
        rows: its rows.
        bytes: its size.
    """

    location: str
    rows: int
    bytes: int


class PartWriter:
    """Writes batches as one Parquet file, which appears under its name only when it is whole.

    A row group is written for every 256 Ki rows or 64 MiB, whichever comes first, so no more than that is held. Numbers
    are stored plain, and compressed only where a sample of the first rows says that it pays: for doubles, dictionaries
    make writing four times slower. Work is done in the caller's thread.

    Args:
        storage: where to write.
        location: the file's name, which must be new.
        schema: the columns, as `output_schema` gives them; batches are cast to it where they differ.

    Example:
        >>> from gristmill.settings import Settings
        >>> with PartWriter(Storage(Settings.load()), "memory:///demo/a.parquet", pa.schema({"x": pa.int64()})) as part:
        ...     part.write(pa.record_batch({"x": [1, 2]}))
        ...     part.close().rows
        2
    """

    def __init__(self, storage: Storage, location: str, schema: pa.Schema) -> None:
        self.location = location
        self.schema = schema.remove_metadata()
        self.rows = 0
        self._storage = storage
        self._held: list[pa.Table] = []
        self._held_rows = 0
        self._held_bytes = 0
        self._sink: Any = None
        self._writer: Any = None
        # Another try at the same part writes under another name, so neither can spoil the other's file.
        folder, _, name = location.rpartition("/")
        self._temporary = f"{folder}/.{name}.{secrets.token_hex(4)}.tmp" if is_local(location) else location

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sink is not None or self._held:
            self.abort()

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows at the end.

        Raises:
            SchemaError: the batch's columns are not the schema's, or a value does not fit.
        """
        if batch.num_rows == 0:
            return
        table = fit(batch, self.schema)
        self._held.append(table)
        self._held_rows += table.num_rows
        self._held_bytes += table.nbytes
        self.rows += table.num_rows
        if self._held_rows >= _GROUP_ROWS or self._held_bytes >= _GROUP_BYTES:
            self._flush()

    def close(self) -> PartFile:
        """Finish the file and give it its name; it is on the disk, not only in memory, when this returns."""
        self._flush()
        self._open()
        self._writer.close()
        size = int(self._sink.tell())
        self._sink.close()
        if is_local(self.location):
            _sync(self._temporary)
            Path(self._temporary).replace(self.location)
        self._sink = self._writer = None
        return PartFile(self.location, self.rows, size)

    def abort(self) -> None:
        """Drop what was written; the file never appears."""
        self._held.clear()
        self._held_rows = self._held_bytes = 0
        sink, self._sink = self._sink, None
        if self._writer is not None:
            self._writer.is_open = False  # else its finalizer would write a footer
            self._writer = None
        if sink is None:
            return
        if isinstance(sink, AbstractBufferedFile):
            # Closing it would finish the upload and give a half file the name.
            sink.discard()
            sink.closed = True
        else:
            sink.close()
        self._storage.delete(self._temporary)

    def _open(self, first: pa.Table | None = None) -> None:
        if self._sink is not None:
            return
        if is_local(self.location):
            Path(self._temporary).parent.mkdir(parents=True, exist_ok=True)
            self._sink = pa.OSFile(self._temporary, "wb")
        else:
            self._sink = self._storage.open(self._temporary, "wb")
        self._writer = pq.ParquetWriter(self._sink, self.schema, **_options(self.schema, first))

    def _flush(self) -> None:
        if not self._held:
            return
        table = pa.concat_tables(self._held)
        self._open(table)
        # No small row group behind a full one, when batches do not add up to one exactly.
        size = _GROUP_ROWS if table.num_rows >= 2 * _GROUP_ROWS else table.num_rows
        self._writer.write_table(table, row_group_size=size)
        self._held.clear()
        self._held_rows = self._held_bytes = 0


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _options(schema: pa.Schema, first: pa.Table | None) -> dict[str, Any]:
    """The Parquet options of a file, from its schema and its first rows."""
    columns = pq.ParquetFile(_empty(schema)).schema
    compression: dict[str, str] = {}
    dictionaries: list[str] = []
    statistics: list[str] = []
    for index in range(len(columns)):
        column = columns.column(index)
        place = schema.get_field_index(column.path)
        flat = place >= 0 and not pa.types.is_nested(schema.field(place).type)
        sample = first.column(place).slice(0, _SAMPLE_ROWS) if first is not None and flat else None
        text = column.physical_type == "BYTE_ARRAY"
        if text and (sample is None or _repeats(sample)):
            dictionaries.append(column.path)
        if column.physical_type not in ("FLOAT", "DOUBLE"):
            statistics.append(column.path)
        compression[column.path] = _CODEC if text or sample is None or _compresses(sample) else "NONE"
    return {
        "compression": compression or _CODEC,
        "use_dictionary": dictionaries or False,
        "write_statistics": statistics or False,
    }


def _empty(schema: pa.Schema) -> Any:
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    return pa.BufferReader(sink.getvalue())


def _compresses(sample: pa.ChunkedArray) -> bool:
    """Whether a column's values shrink enough to be worth the time."""
    values = sample.combine_chunks()
    width = values.type.bit_width // 8 if pa.types.is_primitive(values.type) else 0
    if width == 0:
        return True
    data = values.buffers()[-1].slice(values.offset * width, len(values) * width)
    return bool(len(pa.compress(data, codec=_CODEC, asbytes=True)) < _WORTH_COMPRESSING * max(len(data), 1))


def _repeats(sample: pa.ChunkedArray) -> bool:
    """Whether a text column says the same things often enough for a dictionary."""
    if pa.types.is_dictionary(sample.type):
        return True
    try:
        distinct = pc.count_distinct(sample, mode="all").as_py()
    except pa.ArrowNotImplementedError:
        return True
    return bool(distinct * 2 <= len(sample))
