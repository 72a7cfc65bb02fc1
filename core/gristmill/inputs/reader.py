"""Reading a shard's rows back, as blocks."""

import contextlib
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa

from gristmill.errors import ConflictError
from gristmill.inputs.arrow_rows import read_arrow
from gristmill.inputs.block import Block
from gristmill.inputs.csv_rows import read_csv
from gristmill.inputs.formats import Format
from gristmill.inputs.jsonl_rows import read_jsonl
from gristmill.inputs.opening import WHOLE, InputFile, open_input
from gristmill.inputs.parquet_rows import read_parquet
from gristmill.inputs.pieces import Bounds, Piece, gathered
from gristmill.inputs.window import Window
from gristmill.plan.shards import Shard, Slice
from gristmill.storage.location import is_local
from gristmill.storage.storage import Storage

__all__ = ["read_shard"]

_AHEAD = 16
"""Small remote files opened ahead of the one being read; at most so many times `WHOLE` bytes."""


def read_shard(
    storage: Storage,
    *,
    format: Format,  # noqa: A002 - the word users know
    schema: pa.Schema,
    shard: Shard,
    start: int = 0,
    stop: int | None = None,
    batch_rows: int = 65_536,
    batch_bytes: int = 32 * 1024**2,
    threads: bool = True,
) -> Iterator[Block]:
    """The rows of a shard in order, as blocks whose `model_rows` are their `rows`.

    A row that cannot be read stands as nulls with an error of step `read`: a row of text that does not parse or fit
    (its reference is `file:line`; values that do fit are kept), and the rows of a Parquet row group whose pages are
    damaged, from where they can no longer be decoded; a row with a text that is not UTF-8.

    Args:
        storage: opens the files.
        format: of the files.
        schema: the planned columns; a file's own are matched by name and cast where that loses nothing.
        shard: which rows.
        start: the first row wanted, counted within the shard. Files and row groups before it are not read.
        stop: the row after the last wanted; None for the shard's end.
        batch_rows: rows of a block at most.
        batch_bytes: bytes of a block, about; a single larger row is a block of its own.
        threads: whether Arrow may decode with its thread pool.

    Raises:
        SchemaError: a file lacks a planned column, or its values do not fit.
        ConflictError: a file changed since it was planned.
        OSError: a file is gone, out of reach or damaged as a whole; it is named.
    """
    bounds = Bounds(batch_rows, batch_bytes, threads)
    window = Window(start, None if stop is None else max(0, stop - start))
    at = start
    for piece in gathered(_pieces(storage, format, schema, shard, window, bounds), bounds):
        yield Block(shard.index, at, piece.rows, piece.rows, piece.errors)
        at += piece.rows.num_rows


def _pieces(
    storage: Storage, kind: Format, schema: pa.Schema, shard: Shard, window: Window, bounds: Bounds
) -> Iterator[Piece]:
    # What is wanted of a slice depends on the ones before it until these are read, if their length is not known
    is_mixed = shard.rows is None and any(part.rows is not None for part in shard.slices)
    opened = _opened(storage, kind, _wanted(shard, window), 1 if is_mixed else _AHEAD)
    with contextlib.closing(opened) as files:
        for part, inner, file in files:
            if inner.is_done:
                return
            with contextlib.closing(file):
                if kind == "parquet":
                    yield from read_parquet(storage, part, file, schema, inner, bounds)
                elif kind == "csv":
                    yield from read_csv(file, schema, inner, bounds)
                elif kind == "jsonl":
                    yield from read_jsonl(file, schema, inner, bounds)
                else:
                    yield from read_arrow(file, schema, inner, bounds)
            if inner is not window and inner.take:
                raise ConflictError(
                    f"the input file {part.location} has {inner.take} rows less than when it was planned; "
                    "give it another name, or force_rerun=True, for a new job over the new input"
                )


def _wanted(shard: Shard, window: Window) -> Iterator[tuple[Slice, Window]]:
    """The slices that hold wanted rows, each with what is wanted of it.

    A slice of unknown length counts down the shard's own window while it is read.
    """
    for part in shard.slices:
        if window.is_done:
            return
        if part.rows is None:
            yield part, window
        elif not window.passes_over(part.rows):
            offset, length = window.cut(part.rows)
            yield part, Window(part.start + offset, length)


def _opened(
    storage: Storage, kind: Format, parts: Iterator[tuple[Slice, Window]], ahead: int
) -> Generator[tuple[Slice, Window, InputFile], None, None]:
    """The slices' files, opened; small remote ones several at a time, since each costs a request or two."""
    in_ranges = kind in ("parquet", "arrow")
    waiting: deque[tuple[Slice, Window, Future[InputFile]]] = deque()
    pool: ThreadPoolExecutor | None = None
    try:
        for part, window in parts:
            if is_local(part.location) or part.size > WHOLE:
                while waiting:
                    yield _next(waiting)
                if not window.is_done:
                    yield part, window, open_input(storage, part, in_ranges=in_ranges)
                continue
            pool = pool or ThreadPoolExecutor(_AHEAD, thread_name_prefix="gristmill-open")
            waiting.append((part, window, pool.submit(open_input, storage, part, in_ranges=in_ranges)))
            if len(waiting) >= ahead:
                yield _next(waiting)
        while waiting:
            yield _next(waiting)
    finally:
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)


def _next(waiting: deque[tuple[Slice, Window, Future[InputFile]]]) -> tuple[Slice, Window, InputFile]:
    part, window, future = waiting.popleft()
    return part, window, future.result()
