"""Snapshots: the rows of a frame or a query, written to Parquet once, so that every try of a job sees the same."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.errors import SchemaError, SpecError
from gristmill.inputs.content import ContentHash
from gristmill.inputs.files import FilesSource
from gristmill.inputs.fit import fit_column
from gristmill.inputs.frames import FrameSource
from gristmill.inputs.pieces import Bounds, Piece, gathered
from gristmill.inputs.query import QuerySource
from gristmill.storage.location import join
from gristmill.storage.storage import FileInfo, Storage

__all__ = ["SnapshotResult", "content_hash", "fitted_pieces", "snapshot"]

_GROUP = Bounds(rows=65_536, bytes=64 * 1024**2)
_FILE_BYTES = 512 * 1024**2


@dataclass(frozen=True, slots=True)
class SnapshotResult:
    """A snapshot.

    Attributes:
        source: the files, to plan and read like any other input.
        content_hash: a digest of the rows and columns, 32 hexadecimal digits; the same for the same rows, however they
            were cut into batches.
        rows: how many.
    """

    source: FilesSource
    content_hash: str
    rows: int


def snapshot(source: FrameSource | QuerySource, storage: Storage, target_folder: str) -> SnapshotResult:
    """Write a source's rows to Parquet files in a folder, with no more than a row group of them in memory.

    There is at least one file, even when there are no rows. When writing fails, what was written is removed.

    Args:
        source: where the rows come from; read once.
        storage: writes the files.
        target_folder: a normal location that holds nothing yet.

    Raises:
        SchemaError: a column's values do not fit its type.
        SpecError: a query fails on its data.
    """
    files = _Files(storage, target_folder, source.schema)
    try:
        for piece in gathered(fitted_pieces(source), _GROUP):
            files.write(piece.rows)
        files.close()
    except BaseException:
        files.discard()
        raise
    planned = FilesSource("parquet", target_folder, tuple(files.infos), source.schema)
    return SnapshotResult(planned, files.hash.hexdigest(), files.rows)


def content_hash(source: FrameSource) -> str:
    """The `content_hash` that a snapshot of the rows would have; writes nothing.

    Raises:
        SpecError: the rows can be read only once.
    """
    if source.kind == "pyarrow.RecordBatchReader":
        raise SpecError("X: a stream is read once, so a job with a name or key cannot tell it again; give a table")
    found = ContentHash(source.schema)
    for piece in fitted_pieces(source):
        found.update(piece.rows)
    return found.hexdigest()


def fitted_pieces(source: FrameSource | QuerySource) -> Iterator[Piece]:
    """A source's rows as they come, in the types that they are planned with.

    Raises:
        SchemaError: a column's values do not fit its type.
        SpecError: a query fails on its data.
    """
    what = "the query" if isinstance(source, QuerySource) else f"the {source.kind}"
    for batch in source.batches() if isinstance(source, QuerySource) else source.open():
        columns = []
        for column, field in zip(batch.columns, source.schema, strict=True):
            try:
                fitted = fit_column(column, field.type)
                fitted.validate()  # Arrow's casts of nested types can go wrong
                columns.append(fitted)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise SchemaError(f"{what}: column {field.name!r} cannot be stored as {field.type}: {error}") from error
        yield Piece(pa.RecordBatch.from_arrays(columns, schema=source.schema))


class _Files:
    """The Parquet files of a snapshot, one open at a time."""

    def __init__(self, storage: Storage, folder: str, schema: pa.Schema) -> None:
        self._storage = storage
        self._folder = folder
        self._schema = schema
        self._locations: list[str] = []
        self._sink: Any = None
        self._writer: Any = None
        self._bytes = 0
        self.infos: list[FileInfo] = []
        self.hash = ContentHash(schema)
        self.rows = 0

    def _begin(self) -> None:
        location = join(self._folder, f"part-{len(self._locations):05d}.parquet")
        self._locations.append(location)
        self._sink = self._storage.open(location, "wb")
        self._writer = pq.ParquetWriter(
            self._sink, self._schema, compression="lz4", use_dictionary=_shared(self._schema)
        )
        self._bytes = 0

    def write(self, rows: pa.RecordBatch) -> None:
        """One row group."""
        if self._writer is not None and self._bytes >= _FILE_BYTES:
            self._finish()
        if self._writer is None:
            self._begin()
        self._writer.write_batch(rows, row_group_size=max(1, rows.num_rows))
        self.hash.update(rows)
        self._bytes += rows.nbytes
        self.rows += rows.num_rows

    def _finish(self) -> None:
        self._writer.close()
        self._sink.close()
        self._writer = self._sink = None
        self.infos.append(self._storage.info(self._locations[-1]))

    def close(self) -> None:
        """End the last file."""
        if not self._locations:
            self._begin()
        if self._writer is not None:
            self._finish()

    def discard(self) -> None:
        """Remove what was written."""
        if self._sink is not None:
            self._sink.close()
        for location in self._locations:
            self._storage.delete(location)


def _shared(schema: pa.Schema) -> list[str] | bool:
    """Columns worth a dictionary: numbers are not, and are read much faster without."""
    return [
        field.name
        for field in schema
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type) or pa.types.is_dictionary(field.type)
    ] or False
