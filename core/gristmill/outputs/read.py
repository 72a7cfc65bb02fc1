"""Reading an output back: the files its manifest names, and no others."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.chat.response import CHOICES, text_of
from gristmill.errors import OutputError, SchemaError
from gristmill.outputs.manifest import Manifest, OutputFile, read_manifest
from gristmill.outputs.whole import flaw_of_files
from gristmill.storage.location import is_local, join
from gristmill.storage.storage import Storage

if TYPE_CHECKING:
    import pyarrow.dataset as ds

__all__ = ["open_output", "read_output"]

_THREADS = 8


def open_output(storage: Storage, location: str) -> "ds.Dataset":
    """A finished output as an Arrow dataset: lazily read, rows in the order of the input.

    Raises:
        OutputError: there is no finished output, or a file that the manifest names is missing or damaged.
    """
    return _dataset(storage, location, read_manifest(storage, location))


def read_output(
    storage: Storage, location: str, *, columns: Sequence[str] | None = None, text: bool = False
) -> pa.Table:
    """A finished output as a table.

    Args:
        storage: where.
        location: the output location.
        columns: only these, in this order.
        text: of a chat's output: a column `response`, the text of each first choice, instead of the response's columns.

    Raises:
        OutputError: see `open_output`.
        SchemaError: there is no such column, or there are no texts.
    """
    manifest = read_manifest(storage, location)
    names = [column.name for column in manifest.columns]
    if not text:
        _assert_known(columns, names, location)
        return _whole(storage, location, manifest, columns)
    wanted = None
    if columns is not None:
        wanted = [name for name in names if name in columns or name.endswith(CHOICES)]
    table = text_of(_whole(storage, location, manifest, wanted))
    if columns is None:
        return table
    _assert_known(columns, table.column_names, location)
    return table.select(list(columns))


def _assert_known(columns: Sequence[str] | None, names: Sequence[str], location: str) -> None:
    unknown = [name for name in columns or () if name not in names]
    if unknown:
        raise SchemaError(f"columns: the output at {location!r} has no {unknown[0]!r}; it has {', '.join(names)}")


def _whole(storage: Storage, location: str, manifest: Manifest, columns: Sequence[str] | None) -> pa.Table:
    table = _read(storage, location, manifest, columns)
    if table.num_rows != manifest.rows:
        raise OutputError(f"{location!r} holds {table.num_rows} rows, its manifest says {manifest.rows}: it is damaged")
    return table


def _read(storage: Storage, location: str, manifest: Manifest, columns: Sequence[str] | None) -> pa.Table:
    if is_local(location) or not manifest.files:
        dataset = _dataset(storage, location, manifest)
        return dataset.to_table(columns=list(columns) if columns is not None else None)
    _assert_whole(storage, location, manifest)

    # A table of no columns has no rows: read one for their number.
    wanted = None if columns is None else list(columns) or [manifest.columns[0].name]

    # Not as a dataset: one over a filesystem in Python lets threads outlive the scan, which abort the process when it
    # ends soon after (https://github.com/apache/arrow/issues/45214).
    def read(file: OutputFile) -> pa.Table:
        with storage.open(join(location, file.path)) as source:
            whole = columns is None
            return pq.ParquetFile(pa.BufferReader(source.read()) if whole else source).read(columns=wanted)

    with ThreadPoolExecutor(_THREADS) as pool:
        table = pa.concat_tables(pool.map(read, manifest.files))
    return table if columns is None else table.select(list(columns))


def _dataset(storage: Storage, location: str, manifest: Manifest) -> "ds.Dataset":
    import pyarrow.dataset as ds  # slow to import, and few need it

    if not manifest.files:
        return ds.dataset(pa.schema([]).empty_table())
    _assert_whole(storage, location, manifest)
    filesystem, folder = storage.arrow_filesystem(location)
    return ds.dataset([join(folder, file.path) for file in manifest.files], format="parquet", filesystem=filesystem)


def _assert_whole(storage: Storage, location: str, manifest: Manifest) -> None:
    """Check that each file of the manifest is there, in its size."""
    flaw = flaw_of_files(storage, location, manifest)
    if flaw is not None:
        raise OutputError(f"{flaw}; run the job again with another name")
