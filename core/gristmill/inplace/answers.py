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
from gristmill.inputs.pieces import Bounds, gathered
from gristmill.inputs.query import QuerySource
from gristmill.inputs.snapshot import fitted_pieces
from gristmill.outputs.agreement import agree
from gristmill.outputs.schema import error_array, fit, output_schema
from gristmill.replica.agreement import Agreement, is_complete
from gristmill.replica.inference import BatchRunner, ErrorBudget, Result
from gristmill.replica.messages import Event, Proposed
from gristmill.replica.sizing import BatchSizer
from gristmill.spec.row_error import RowError

__all__ = ["Answers", "answers_of", "blocks_of", "failed_row"]

_ROW_BLOCK = 256
_BLOCK_BYTES = 32 * 1024**2


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


def blocks_of(source: FrameSource | QuerySource, *, rows: int) -> Iterator[Block]:
    """A source's rows as blocks of at most so many."""
    at = 0
    for piece in gathered(fitted_pieces(source), Bounds(rows, _BLOCK_BYTES)):
        yield Block(0, at, piece.rows, piece.rows, piece.errors)
        at += piece.rows.num_rows


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
    schema = output_schema(call.schema, pa.schema([]) if outputs is None else outputs, record_errors=record)
    added = pa.schema(list(schema)[len(call.schema) :])

    def batches() -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
        waiting = deque(first)
        first.clear()
        while waiting:
            yield _pair(waiting.popleft(), added, record=record)
        for result in results:
            yield _pair(result, added, record=record)

    return Answers(schema, batches())


def failed_row(error: RowError, row: int) -> FailedRowsError:
    """The error for a row that failed."""
    where = f" of {error.reference!r}" if error.reference is not None and error.step == "output" else ""
    file = f" ({error.reference})" if error.reference is not None and error.step == "resolve" else ""
    return FailedRowsError(
        f"row {row:,}: {error.type}: {error.message}{file}, in its step {error.step!r}{where}; "
        'repair or leave out the row, or keep such rows beside their errors with on_error="record"'
    )


def _results(
    call: Call, source: FrameSource | QuerySource, loaded: LoadedFunction, declared: pa.Schema | None, *, record: bool
) -> Iterator[Result]:
    sizer = BatchSizer(call.max_batch_rows)
    blocks: Iterable[Block] = blocks_of(source, rows=_ROW_BLOCK if loaded.by_row else sizer.read_rows)
    resolver = call.resolver()
    try:
        if resolver is not None:
            blocks = resolver.resolve(blocks)
        for result in loaded.results(blocks) if loaded.by_row else _batched(loaded, blocks, sizer, declared, record):
            if result.errors and not record:
                index = min(result.errors)
                raise failed_row(result.errors[index], result.start + index)
            yield result
    finally:
        if resolver is not None:
            resolver.close()


def _batched(
    loaded: LoadedFunction,
    blocks: Iterable[Block],
    sizer: BatchSizer,
    declared: pa.Schema | None,
    record: bool,  # noqa: FBT001 - private
) -> Iterator[Result]:
    def settle(event: Event) -> None:
        if isinstance(event, Proposed):
            agreement.use(event.outputs)

    agreement = Agreement(declared, settle)
    runner = BatchRunner(loaded, agreement, sizer, ErrorBudget(None if record else 0))
    for block in blocks:
        yield from runner.run(block)


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
