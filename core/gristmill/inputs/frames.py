"""`FrameSource`: input rows that a user holds in memory, or that some library streams."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from gristmill.errors import SchemaError, SpecError
from gristmill.inputs.pandas_frame import pandas_batches
from gristmill.inputs.storable import storable_schema

__all__ = ["ACCEPTED", "FrameSource", "open_frame"]

ACCEPTED = (
    "a location, a glob, gristmill.query(...), gristmill.list_files(...), a pyarrow Table, RecordBatch, "
    "RecordBatchReader or dataset, a pandas or Polars frame, or any object with __arrow_c_stream__"
)
"""What can be an input, in words."""

_BATCH = 65_536


@dataclass(frozen=True, slots=True)
class FrameSource:
    """Rows of a frame.

    Attributes:
        kind: a word for what it is, such as `pandas.DataFrame`.
        schema: its columns as they will be planned; all nullable.
        open: starts over with its rows; a stream can be opened once.
    """

    kind: str
    schema: pa.Schema
    open: Callable[[], Iterable[pa.RecordBatch]]


def open_frame(frame: Any) -> FrameSource:
    """The rows of a frame, of any library.

    The index of a pandas frame is left out unless it has a name (all levels of it); then it comes as columns, first.

    Raises:
        SpecError: it is nothing of the kind; the message lists what is accepted.
        SchemaError: two columns share a name, or a column holds what no column of a table can.

    Example:
        >>> open_frame(pa.table({"x": [1, 2]})).schema.names
        ['x']
    """
    kind = f"{type(frame).__module__.partition('.')[0]}.{type(frame).__name__}"
    if isinstance(frame, type) or frame is None:
        raise _refused(frame)
    if isinstance(frame, pa.Table):
        return _source(kind, frame.schema, lambda: frame.to_batches(max_chunksize=_BATCH))
    if isinstance(frame, pa.RecordBatch):
        return _source(kind, frame.schema, lambda: (frame,))
    if _is_of(frame, "pyarrow", "Dataset"):
        return _source(kind, frame.schema, lambda: _dataset_batches(frame))
    if _is_of(frame, "pandas", "DataFrame"):
        schema, batches = pandas_batches(frame, rows=_BATCH)
        return _source(kind, schema, batches)
    if _is_of(frame, "polars", "LazyFrame"):
        empty = type(frame.lazy().head(0).collect())(schema=frame.collect_schema())
        schema = pa.RecordBatchReader.from_stream(empty).schema
        return _source(kind, schema, lambda: _polars_batches(frame))
    if hasattr(frame, "__arrow_c_stream__"):
        stream = _Stream(frame, kind)
        return _source(kind, stream.schema, stream)
    if hasattr(frame, "__arrow_c_array__"):
        batch = pa.record_batch(frame)
        return _source(kind, batch.schema, lambda: (batch,))
    raise _refused(frame)


def _refused(frame: Any) -> SpecError:
    given = f"the class {frame.__name__}" if isinstance(frame, type) else type(frame).__name__
    return SpecError(f"X: {given} is not an input; give {ACCEPTED}")


def _is_of(frame: Any, package: str, name: str) -> bool:
    """Whether a frame is of a library's class, without importing the library."""
    return any(kind.__name__ == name and kind.__module__.partition(".")[0] == package for kind in type(frame).__mro__)


def _source(kind: str, schema: pa.Schema, open_: Callable[[], Iterable[pa.RecordBatch]]) -> FrameSource:
    if not len(schema):
        raise SchemaError(f"the {kind} has no columns")
    return FrameSource(kind, storable_schema(schema, what=f"the {kind}"), open_)


def _dataset_batches(frame: Any) -> Iterator[pa.RecordBatch]:
    options = {}
    if getattr(getattr(frame, "format", None), "default_extname", None) == "parquet":
        # The defaults fetch whole row groups ahead: five times the memory, and slower
        options["fragment_scan_options"] = pa.dataset.ParquetFragmentScanOptions(
            pre_buffer=False, use_buffered_stream=True
        )
    batches = frame.to_batches(batch_size=_BATCH, batch_readahead=2, fragment_readahead=1, **options)
    return iter(batches)


def _polars_batches(frame: Any) -> Iterator[pa.RecordBatch]:
    for part in frame.collect_batches(chunk_size=_BATCH, maintain_order=True):
        yield from pa.RecordBatchReader.from_stream(part)


class _Stream:
    """Rows through Arrow's stream interface; many producers give their stream only once."""

    def __init__(self, frame: Any, kind: str) -> None:
        self._frame = frame
        self._kind = kind
        self._reader: Any = self._started()
        self.schema = self._reader.schema

    def _started(self) -> Any:
        try:
            return pa.RecordBatchReader.from_stream(self._frame)
        except pa.ArrowException as error:
            raise SpecError(f"X: the {self._kind} cannot be read: {error}") from error

    def __call__(self) -> Iterator[pa.RecordBatch]:
        reader, self._reader = self._reader, None
        if reader is None:
            if isinstance(self._frame, pa.RecordBatchReader):
                raise SpecError(f"X: the {self._kind} has been read already; make a new one")
            reader = self._started()
        return iter(reader)
