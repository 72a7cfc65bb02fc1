"""Running a batch model over blocks, and finding the rows that fail."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from gristmill.engines.protocol import BatchModel, EngineDeadError
from gristmill.inputs.block import Block
from gristmill.replica.agreement import Agreement, conform, is_complete, seen_schema
from gristmill.replica.sizing import BatchSizer
from gristmill.spec.row_error import RowError

__all__ = ["BatchRunner", "Covered", "ErrorBudget", "Result", "expand"]


@dataclass(frozen=True, slots=True)
class Covered:
    """Which part of the input a result of partitions stands for.

    Attributes:
        rows: how many rows.
        partitions: how many partitions begin in it; 0 for one that goes on from the result before.
        written: rows of the output, where these are not the rows of the input.
    """

    rows: int
    partitions: int
    written: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """Consecutive rows of a task with what became of them.

    Attributes:
        start: the first row's place within the shard.
        rows: the input rows, n of them; of partitions that have another number of rows in the output, their keys.
        outputs: the output columns, n rows, null where a row failed; None when no row has a result.
        errors: the rows that failed, by position.
        cut: the search for failing rows was given up here: the task has more errors than the job allows.
        metrics: what the model counted for these rows, such as tokens.
        covered: for partitions, what of the input it stands for.
    """

    start: int
    rows: pa.RecordBatch
    outputs: pa.RecordBatch | None
    errors: dict[int, RowError]
    cut: bool = False
    metrics: Mapping[str, float] = field(default_factory=dict)
    covered: Covered | None = None

    @property
    def taken(self) -> int:
        """Rows of the input."""
        return self.rows.num_rows if self.covered is None else self.covered.rows

    @property
    def height(self) -> int:
        """Rows of the output."""
        written = None if self.covered is None else self.covered.written
        return self.rows.num_rows if written is None else written


@dataclass(slots=True)
class ErrorBudget:
    """How many failed rows a worker looks for before it gives up on a task: the job will fail anyway.

    Args:
        limit: more than these are too many; None for no limit.
    """

    limit: int | None
    spent: int = 0

    @property
    def is_spent(self) -> bool:
        """Whether there are too many."""
        return self.limit is not None and self.spent > self.limit


@dataclass(slots=True)
class BatchRunner:
    """Runs a batch model over blocks.

    A call that raises is halved until the rows that cause it stand alone, so one bad row costs its block about
    2 log2(n) more calls.

    Args:
        model: the loaded model.
        agreement: the output columns.
        sizer: how large calls are.
        budget: how many failed rows to look for.
    """

    model: BatchModel
    agreement: Agreement
    sizer: BatchSizer
    budget: ErrorBudget
    _found: dict[int, RowError] = field(default_factory=dict)

    def run(
        self, block: Block, *, size: int | None = None, announce: Callable[[int, int], None] | None = None
    ) -> Iterator[Result]:
        """The results of a block, in order, one for each call's worth of rows.

        Args:
            block: the rows.
            size: rows of one call, instead of the sizer's.
            announce: told the rows of each call, [start, stop) within the shard, before it is made.
        """
        at, total = 0, block.rows.num_rows
        while at < total:
            rows = min(size or self.sizer.rows, total - at)
            if announce is not None:
                announce(block.start + at, block.start + at + rows)
            result = self._run_piece(block, at, rows)
            yield result
            if result.cut:
                return
            at += rows

    def _run_piece(self, block: Block, at: int, rows: int) -> Result:
        errors = {index - at: error for index, error in block.errors.items() if at <= index < at + rows}
        self.budget.spent += len(errors)
        piece = block.model_rows.slice(at, rows)
        kept = [index for index in range(rows) if index not in errors] if errors else None
        outputs, failed = self._infer(piece if kept is None else piece.take(pa.array(kept, pa.int64())))
        good = outputs.num_rows if outputs is not None else 0
        positions = range(rows) if kept is None else kept
        errors |= {positions[index]: error for index, error in failed.items()}
        if outputs is not None and good < rows:
            outputs = expand(outputs, [index for index in range(rows) if index not in errors], rows)
        source = block.rows.slice(at, rows)
        if outputs is not None:
            outputs, unfit = conform(outputs, self.agreement.settle(seen_schema(outputs)))
            unfit = {index: error for index, error in unfit.items() if index not in errors}
            self.budget.spent += len(unfit)
            errors |= unfit
        return Result(block.start + at, source, outputs, errors, cut=self.budget.is_spent)

    def _infer(self, rows: pa.RecordBatch) -> tuple[pa.RecordBatch | None, dict[int, RowError]]:
        """Results for the rows that have some, in order, and errors for the others."""
        if rows.num_rows == 0:
            return None, {}
        began = time.perf_counter()
        errors: dict[int, RowError] = {}
        pieces = list(self._halve(rows, 0, errors))
        if not errors:
            self.sizer.record(rows=rows.num_rows, seconds=time.perf_counter() - began)
        if len(pieces) <= 1:
            return (pieces[0] if pieces else None), errors
        return self._join(pieces, errors, rows.num_rows), errors

    def _halve(self, rows: pa.RecordBatch, offset: int, errors: dict[int, RowError]) -> Iterator[pa.RecordBatch]:
        if self.budget.is_spent:
            return
        count = rows.num_rows
        try:
            outputs = self.model.infer(rows)
        except EngineDeadError:
            raise
        except Exception as error:  # noqa: BLE001 - a model may raise anything, and it is data here
            if count == 1:
                errors[offset] = RowError.of(error, step="infer")
                self.budget.spent += 1
                return
        else:
            if outputs.num_rows == count:
                yield outputs
            else:
                # smaller calls might seem to fit, and would hide that results do not belong to rows
                message = f"the model gave {outputs.num_rows} rows for {count}; it must give one for each"
                errors |= dict.fromkeys(range(offset, offset + count), RowError("ValueError", message, "infer"))
                self.budget.spent += count
            return
        half = count // 2
        yield from self._halve(rows.slice(0, half), offset, errors)
        yield from self._halve(rows.slice(half), offset + half, errors)

    def _join(self, pieces: list[pa.RecordBatch], errors: dict[int, RowError], rows: int) -> pa.RecordBatch:
        """One batch of several calls' results; a row that does not fit the others becomes an error."""
        schema = self.agreement.settle(_commonest(pieces))
        fitted = []
        positions = [index for index in range(rows) if index not in errors]
        at = 0
        for piece in pieces:
            outputs, unfit = conform(piece, schema)
            for index, error in unfit.items():
                errors[positions[at + index]] = error
            self.budget.spent += len(unfit)
            keep = [index for index in range(piece.num_rows) if index not in unfit]
            fitted.append(outputs if not unfit else outputs.take(pa.array(keep, pa.int64())))
            at += piece.num_rows
        return pa.concat_batches(fitted)


def _commonest(pieces: list[pa.RecordBatch]) -> pa.Schema:
    """The schema that most rows have; so one odd row at the start does not decide for all.

    Schemas with unknown types count only where there are no others.
    """
    rows: dict[pa.Schema, int] = {}
    for piece in pieces:
        schema = seen_schema(piece)
        rows[schema] = rows.get(schema, 0) + piece.num_rows
    return max(rows, key=lambda schema: (all(is_complete(field.type) for field in schema), rows[schema]))


def expand(outputs: pa.RecordBatch, positions: list[int], rows: int) -> pa.RecordBatch:
    """`outputs` spread over `rows` rows: its i-th row at `positions[i]`, nulls elsewhere."""
    source: list[int | None] = [None] * rows
    for index, position in enumerate(positions[: outputs.num_rows]):
        source[position] = index
    return outputs.take(pa.array(source, pa.int64()))
