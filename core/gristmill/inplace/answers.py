"""`Answers`: the rows of a source with what a model made of them, in the columns that a job would write."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from gristmill.errors import FailedRowsError
from gristmill.inplace.call import Call
from gristmill.inplace.loaded import LoadedFunction
from gristmill.inputs.block import Block
from gristmill.inputs.frames import FrameSource
from gristmill.inputs.pieces import Bounds, Piece, gathered
from gristmill.inputs.query import QuerySource
from gristmill.inputs.snapshot import fitted_pieces
from gristmill.outputs.agreement import agree
from gristmill.outputs.schema import error_array, fit, output_schema
from gristmill.partitions.keys import comparable, sorted_order
from gristmill.partitions.memory import most_partition_bytes
from gristmill.replica.agreement import Agreement, is_complete
from gristmill.replica.inference import BatchRunner, ErrorBudget, Result
from gristmill.replica.messages import Event, Proposed
from gristmill.replica.partition_runner import PartitionRunner
from gristmill.replica.sizing import BatchSizer
from gristmill.spec.job import JobSpec
from gristmill.spec.row_error import RowError

__all__ = ["Answers", "answers_of", "blocks_of", "failed_row"]

_ROW_BLOCK = 256
_BLOCK_BYTES = 32 * 1024**2
_GROUPED_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Answers:
    """Rows with their outputs, in the order of the input.

    Attributes:
        schema: all columns: the input's, the model's, and `_error` where errors are recorded.
        batches: pairs of rows as they were read, and of the columns that were added to them, in their final types.
    """

    schema: pa.Schema
    batches: Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]

    def tables(self) -> Iterator[pa.Table]:
        """The rows with all their columns."""
        for rows, added in self.batches:
            columns = [*rows.columns, *added.columns]
            yield fit(pa.RecordBatch.from_arrays(columns, names=self.schema.names), self.schema)


def blocks_of(source: FrameSource | QuerySource, *, rows: int, grouped_by: str | None = None) -> Iterator[Block]:
    """A source's rows as blocks of at most so many.

    Args:
        source: the rows; read once.
        rows: of a block.
        grouped_by: a column whose values tell partitions apart: the rows of each then stand together, in their order,
            and partitions in the order of their keys. All rows are in memory for that.
    """
    pieces = fitted_pieces(source)
    if grouped_by is not None:
        pieces = _grouped(pieces, source.schema, grouped_by)
    at = 0
    for piece in gathered(pieces, Bounds(rows, _BLOCK_BYTES)):
        yield Block(0, at, piece.rows, piece.rows, piece.errors)
        at += piece.rows.num_rows


def _grouped(pieces: Iterator[Piece], schema: pa.Schema, column: str) -> Iterator[Piece]:
    table = pa.Table.from_batches([piece.rows for piece in pieces], schema=schema)
    order = sorted_order(comparable(table.column(column).combine_chunks()))
    for batch in table.take(order).to_batches(max_chunksize=_GROUPED_ROWS):
        yield Piece(batch)


def answers_of(call: Call, source: FrameSource | QuerySource, loaded: LoadedFunction, *, record: bool) -> Answers:
    """Run a loaded function over a source; no more than some batches of it are in memory at a time.

    The first rows are run at once where the function does not say what it returns.

    Args:
        call: what is run.
        source: the rows; read once.
        loaded: the function, loaded for that call.
        record: keep failed rows, with an `_error` column.

    Raises:
        FailedRowsError: a row failed, and errors are not recorded.
    """
    declared = call.signature.output_schema()
    results = _results(call, source, loaded, declared, record=record)
    outputs, first = (declared, []) if declared is not None else _looked_at(results)
    kept = call.kept
    schema = output_schema(kept, pa.schema([]) if outputs is None else outputs, record_errors=record)
    added = pa.schema(list(schema)[len(kept) :])

    def batches() -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
        waiting = deque(first)
        first.clear()
        while waiting:
            yield _pair(waiting.popleft(), added, record=record)
        for result in results:
            yield _pair(result, added, record=record)

    return Answers(schema, batches())


def failed_row(error: RowError, row: int, *, is_partition: bool = False) -> FailedRowsError:
    """The error for a row that failed, or for a whole partition."""
    if error.step != "output" and error.reference is not None and is_partition:
        what = f"the partition {error.reference}"
    else:
        what = f"row {row:,}"
    where = f" of {error.reference!r}" if error.reference is not None and error.step == "output" else ""
    file = f" ({error.reference})" if error.reference is not None and error.step == "resolve" else ""
    return FailedRowsError(
        f"{what}: {error.type}: {error.message}{file}, in its step {error.step!r}{where}; "
        'repair or leave out the row, or keep such rows beside their errors with on_error="record"'
    )


def _results(
    call: Call, source: FrameSource | QuerySource, loaded: LoadedFunction, declared: pa.Schema | None, *, record: bool
) -> Iterator[Result]:
    sizer = BatchSizer(call.max_batch_rows)
    blocks: Iterable[Block] = blocks_of(
        source,
        rows=_ROW_BLOCK if loaded.by_row else sizer.read_rows,
        grouped_by=None if call.partitioning is None else call.partitioning.column,
    )
    resolver = call.resolver()
    try:
        if resolver is not None:
            blocks = resolver.resolve(blocks)
        for result in _run(call, loaded, blocks, sizer, _agreement(declared), record=record):
            if result.errors and not record:
                index = min(result.errors)
                raise failed_row(result.errors[index], result.start + index, is_partition=call.partitioning is not None)
            yield result
    finally:
        if resolver is not None:
            resolver.close()


def _agreement(declared: pa.Schema | None) -> Agreement:
    """The output columns: what the first results propose is agreed on, there being nobody else."""

    def settle(event: Event) -> None:
        if isinstance(event, Proposed):
            agreement.use(event.outputs)

    agreement = Agreement(declared, settle)
    return agreement


def _run(
    call: Call,
    loaded: LoadedFunction,
    blocks: Iterable[Block],
    sizer: BatchSizer,
    agreement: Agreement,
    *,
    record: bool,
) -> Iterator[Result]:
    if loaded.by_row:
        yield from loaded.results(blocks)
        return
    budget = ErrorBudget(None if record else 0)
    if call.partitioning is None:
        runner = BatchRunner(loaded, agreement, sizer, budget)
        for block in blocks:
            yield from runner.run(block)
        return
    most = most_partition_bytes(call.storage.settings, JobSpec())
    whole = PartitionRunner(loaded, agreement, budget, call.partitioning, most_bytes=most)
    for block in blocks:
        yield from whole.run(block)
    yield from whole.end()


def _looked_at(results: Iterator[Result]) -> tuple[pa.Schema | None, list[Result]]:
    """The outputs' types as the first results show them, and those results; all of them where types stay unknown."""
    seen: list[Result] = []
    for result in results:
        seen.append(result)
        if result.outputs is not None and all(is_complete(field.type) for field in result.outputs.schema):
            break
    known = [result.outputs.schema for result in seen if result.outputs is not None]
    return (agree(known) if known else None), seen


def _pair(result: Result, added: pa.Schema, *, record: bool) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    rows = result.rows.num_rows
    kinds = list(added)[: len(added) - record]
    if result.outputs is None:
        columns = [pa.nulls(rows, field.type) for field in kinds]
    else:
        columns = [_column(result.outputs, field) for field in kinds]
    if record:
        columns.append(error_array(rows, result.errors))
    return result.rows, pa.RecordBatch.from_arrays(columns, schema=added)


def _column(outputs: pa.RecordBatch, field: pa.Field) -> pa.Array:
    place = outputs.schema.get_field_index(field.name)
    if place < 0:
        return pa.nulls(outputs.num_rows, field.type)
    column = outputs.column(place)
    return column if column.type == field.type else column.cast(field.type)
