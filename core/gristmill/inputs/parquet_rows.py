"""Rows of a Parquet file; a row group whose pages are damaged becomes rows with errors."""

from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import pyarrow as pa

from gristmill.inputs.fit import Fit
from gristmill.inputs.opening import InputFile, check_unchanged, file_error
from gristmill.inputs.parquet_footer import open_parquet, readable_metadata
from gristmill.inputs.pieces import Bounds, Piece, null_rows
from gristmill.inputs.text_check import checked_text
from gristmill.inputs.window import Window
from gristmill.plan.shards import Slice
from gristmill.spec.row_error import RowError
from gristmill.storage.storage import Storage

__all__ = ["read_parquet"]

_BUFFER = 4 * 1024**2
"""Bytes read ahead in each column of a local file. Faster here than a memory map, and a file cut short meanwhile is an
error rather than the end of the process."""

_REMOTE_BUFFER = 8 * 1024**2
_PREFETCHED = 128 * 1024**2
"""A remote row group of at most so many bytes is fetched as a whole."""


def read_parquet(
    storage: Storage, part: Slice, file: InputFile, schema: pa.Schema, window: Window, bounds: Bounds
) -> Iterator[Piece]:
    """The wanted rows of a slice, in order.

    Row groups before and after the window are not read. Within a row group rows are decoded from its beginning.

    Raises:
        SchemaError: the file's columns do not fit.
        ConflictError: the file changed since it was planned.
        OSError: the file cannot be read.
    """
    parquet = open_parquet(file, pre_buffer=False, buffer_size=_BUFFER)
    metadata = readable_metadata(file, parquet)
    if metadata is not parquet.metadata:
        parquet = open_parquet(file, metadata=metadata, pre_buffer=False, buffer_size=_BUFFER)
    fit = Fit(schema, parquet.schema_arrow.names, what=file.location)
    first, last = part.groups or (0, metadata.num_row_groups)
    groups: list[int] = []
    wanted = None if window.take is None else window.skip + window.take
    for group in range(first, last):
        rows = metadata.row_group(group).num_rows
        if not groups and window.passes_over(rows):
            wanted = None if wanted is None else wanted - rows
        elif wanted is None or wanted > 0:
            groups.append(group)
            wanted = None if wanted is None else wanted - rows
    if not groups or window.is_done:
        return
    sizes = [metadata.row_group(group).total_byte_size for group in groups]
    if file.is_remote:
        whole = max(sizes) <= _PREFETCHED
        parquet = open_parquet(file, metadata=metadata, pre_buffer=whole, buffer_size=0 if whole else _REMOTE_BUFFER)
    rows = sum(metadata.row_group(group).num_rows for group in groups)
    batch_rows = max(1, min(bounds.rows, rows * bounds.bytes // max(1, sum(sizes))))
    for run in _runs(groups, sizes) if file.is_remote else [groups]:
        yield from _Run(storage, part, file, parquet, fit, batch_rows, threads=bounds.threads).read(run, window)


def _runs(groups: list[int], sizes: list[int]) -> Iterator[list[int]]:
    """Row groups to prefetch together: as many as stay within the bound."""
    run: list[int] = []
    total = 0
    for group, size in zip(groups, sizes, strict=True):
        if run and total + size > _PREFETCHED:
            yield run
            run, total = [], 0
        run.append(group)
        total += size
    yield run


class _Run:
    """Reads row groups of one file, going around the damaged ones."""

    def __init__(
        self, storage: Storage, part: Slice, file: InputFile, parquet: Any, fit: Fit, batch_rows: int, *, threads: bool
    ) -> None:
        self._storage = storage
        self._part = part
        self._file = file
        self._parquet = parquet
        self._fit = fit
        self._batch_rows = batch_rows
        self._threads = threads

    def _batches(self, groups: list[int]) -> Iterator[pa.RecordBatch]:
        return iter(
            self._parquet.iter_batches(
                self._batch_rows, row_groups=groups, columns=self._fit.projection, use_threads=self._threads
            )
        )

    def read(self, groups: list[int], window: Window) -> Iterator[Piece]:
        """The wanted rows of these row groups."""
        while groups and not window.is_done:
            counts = [self._parquet.metadata.row_group(group).num_rows for group in groups]
            passed = 0
            batches = self._batches(groups)
            while not window.is_done:
                try:
                    batch = next(batches, None)
                except (OSError, pa.ArrowException) as error:
                    self._check(error)
                    break
                if batch is None:
                    yield from self._missing(sum(counts) - passed, window)
                    return
                passed += batch.num_rows
                yield from self._wanted(batch, window)
            else:
                return
            ends = list(accumulate(counts))
            at = next((at for at, end in enumerate(ends) if end > passed), len(groups) - 1)
            yield from self._read_damaged(groups[at], passed - (ends[at] - counts[at]), window)
            groups = groups[at + 1 :]

    def _wanted(self, batch: pa.RecordBatch, window: Window) -> Iterator[Piece]:
        if window.passes_over(batch.num_rows):
            return
        offset, length = window.cut(batch.num_rows)
        if length:
            yield checked_text(self._fit(batch.slice(offset, length)), self._file.location)

    def _read_damaged(self, group: int, done: int, window: Window) -> Iterator[Piece]:
        """A row group in which an error is expected, from its row `done` on.

        A batch may span row groups, so some of this one's rows may be readable still, or the error may lie in the next.
        """
        total = self._parquet.metadata.row_group(group).num_rows
        passed = 0
        batches = self._batches([group])
        while passed < total and not window.is_done:
            try:
                batch = next(batches)
            except StopIteration:
                break
            except (OSError, pa.ArrowException) as error:
                self._check(error)
                yield from self._lost(total - max(passed, done), error, window)
                return
            fresh = batch.slice(max(0, done - passed))
            passed += batch.num_rows
            yield from self._wanted(fresh, window)
        yield from self._missing(total - max(passed, done), window)

    def _missing(self, rows: int, window: Window) -> Iterator[Piece]:
        """Rows that the footer promises and the pages lack: damage that Arrow does not notice."""
        if rows > 0 and not window.is_done:
            error = OSError("the pages hold fewer rows than the footer says")
            self._check(error)
            yield from self._lost(rows, error, window)

    def _lost(self, rows: int, error: Exception, window: Window) -> Iterator[Piece]:
        problem = RowError.of(error, step="read", reference=self._file.location)
        _, length = window.cut(rows)
        for start in range(0, length, self._batch_rows):
            count = min(self._batch_rows, length - start)
            yield Piece(null_rows(self._fit.schema, count), dict.fromkeys(range(count), problem))

    def _check(self, error: Exception) -> None:
        """Raise unless the error is about the content of the very file that was planned."""
        if not self._file.is_content(error):
            raise file_error(self._file.location, error) from error
        check_unchanged(self._storage, self._part)
