"""Reading an output back: the files its manifest names, and no others."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pafs

from gristmill.errors import OutputError, SchemaError
from gristmill.outputs.manifest import Manifest, read_manifest
from gristmill.storage.location import is_local, join
from gristmill.storage.storage import Storage

__all__ = ["open_output", "read_output"]


def open_output(storage: Storage, location: str) -> ds.Dataset:
    """A finished output as an Arrow dataset: lazily read, rows in the order of the input.

    Raises:
        OutputError: there is no finished output, or a file that the manifest names is missing or damaged.
    """
    return _dataset(storage, location, read_manifest(storage, location))


def read_output(storage: Storage, location: str, *, columns: Sequence[str] | None = None) -> pa.Table:
    """A finished output as a table.

    Args:
        storage: where.
        location: the output location.
        columns: only these, in this order.

    Raises:
        OutputError: see `open_output`.
        SchemaError: there is no such column.
    """
    manifest = read_manifest(storage, location)
    dataset = _dataset(storage, location, manifest)
    if columns is not None:
        unknown = [name for name in columns if name not in dataset.schema.names]
        if unknown:
            raise SchemaError(
                f"columns: the output at {location!r} has no {unknown[0]!r}; it has {', '.join(dataset.schema.names)}"
            )
    table: pa.Table = dataset.to_table(columns=list(columns) if columns is not None else None)
    if table.num_rows != manifest.rows:
        raise OutputError(f"{location!r} holds {table.num_rows} rows, its manifest says {manifest.rows}: it is damaged")
    return table


def _dataset(storage: Storage, location: str, manifest: Manifest) -> ds.Dataset:
    if not manifest.files:
        return ds.dataset(pa.schema([]).empty_table())
    wanted = {file.path: file.bytes for file in manifest.files}
    for info in storage.list(location):
        path = info.location[len(location) :].lstrip("/")
        size = wanted.pop(path, None)
        if size is not None and size != info.size:
            raise OutputError(
                f"{info.location!r} has {info.size} bytes, the manifest says {size}: "
                "it was changed after the job; run the job again with another name"
            )
    if wanted:
        missing = min(wanted)
        raise OutputError(
            f"{join(location, missing)!r} is missing, and the manifest names it ({len(wanted)} of "
            f"{len(manifest.files)} files are): they were removed after the job; run the job again with another name"
        )
    paths = [storage.path(join(location, file.path)) for file in manifest.files]
    return ds.dataset(paths, format="parquet", filesystem=_filesystem(storage, location))


def _filesystem(storage: Storage, location: str) -> Any:
    if is_local(location):
        return pafs.LocalFileSystem()
    return pafs.PyFileSystem(pafs.FSSpecHandler(storage.filesystem(location)))
