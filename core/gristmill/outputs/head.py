"""The first rows of an output, without reading the rest of it."""

import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.errors import OutputError
from gristmill.outputs.manifest import Manifest, OutputFile
from gristmill.storage.location import join
from gristmill.storage.storage import Storage

__all__ = ["head"]

_PAGE = 1024**2
"""Bytes of a column that are read at once."""


def head(storage: Storage, location: str, manifest: Manifest, *, rows: int) -> pa.Table:
    """The first rows of a finished output, in all its columns; only what they stand in is read.

    Args:
        storage: where.
        location: the output location.
        manifest: what `read_manifest` gave for it.
        rows: how many at most.

    Raises:
        OutputError: a file that they stand in is missing or was changed.
    """
    pieces: list[pa.Table] = []
    left = rows
    for file in manifest.files:
        pieces.append(_head_of(storage, location, file, left))
        left -= len(pieces[-1])
        if left <= 0:
            break
    return pa.concat_tables(pieces) if pieces else pa.schema([]).empty_table()


def _head_of(storage: Storage, location: str, file: OutputFile, rows: int) -> pa.Table:
    filesystem, folder = storage.arrow_filesystem(location)
    where = join(location, file.path)
    try:
        source = filesystem.open_input_file(join(folder, file.path))
    except FileNotFoundError:
        raise OutputError(
            f"{where!r} is missing, and the manifest names it; run the job again with another name"
        ) from None
    with source:
        if source.size() != file.bytes:
            raise OutputError(
                f"{where!r} has {source.size()} bytes, the manifest says {file.bytes}: it was changed after the job; "
                "run the job again with another name"
            )
        parquet = pq.ParquetFile(source, buffer_size=_PAGE)
        batches: list[pa.RecordBatch] = []
        left = rows
        for batch in parquet.iter_batches(batch_size=max(rows, 1), use_threads=False):
            batches.append(batch.slice(0, left))
            left -= len(batches[-1])
            if left <= 0:
                break
        return pa.Table.from_batches(batches, parquet.schema_arrow)
