"""The rows of a block coming back one by one, and the batch that they make."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from gristmill.inputs.block import Block
from gristmill.replica.inference import Result, expand
from gristmill.replica.messages import Task
from gristmill.spec.row_error import RowError

__all__ = ["Assembly"]

_UNFIT = (ValueError, TypeError, OverflowError, pa.ArrowNotImplementedError)
"""What Arrow raises for a value that does not fit a type, or for text that is no Unicode."""


class Assembly:
    """A block whose rows are with a row model; it is ready when `left` is 0.

    Attributes:
        task: the block's task.
        start: its first row's place within the shard.
        rows: the rows as they were read.
        left: how many are not back yet.
        results: what came back, by position; None for rows without a result.
        errors: the rows that failed, by position.
        metrics: what the model counted for these rows.
    """

    __slots__ = ("errors", "left", "metrics", "results", "rows", "start", "task")

    def __init__(self, task: Task, block: Block) -> None:
        count = block.rows.num_rows
        self.task = task
        self.start = block.start
        self.rows = block.rows
        self.errors = dict(block.errors)
        self.left = count - len(block.errors)
        self.results: list[Mapping[str, Any] | None] = [None] * count
        self.metrics: dict[str, float] = {}

    def finished(self) -> "Iterator[Assembly]":
        """The rows that are back, as assemblies of their own: one for each run of them, in order."""
        count = self.rows.num_rows
        is_back = [index in self.errors or self.results[index] is not None for index in range(count)]
        metrics, at = self.metrics, 0
        for back, run in itertools.groupby(is_back):
            start, at = at, at + len(list(run))
            if not back:
                continue
            errors = {index - start: error for index, error in self.errors.items() if start <= index < at}
            rows = self.rows.slice(start, at - start)
            found = Assembly(self.task, Block(self.task.shard.index, self.start + start, rows, rows, errors))
            found.results, found.left = self.results[start:at], 0
            found.metrics, metrics = metrics, {}  # what was counted for all of them goes with the first
            yield found

    def result(self, schema: pa.Schema) -> Result:
        """All rows with what became of them; a result that does not fit the schema becomes its row's error."""
        count = self.rows.num_rows
        errors = dict(self.errors)
        good = [index for index in range(count) if index not in errors]
        if not good:
            return Result(self.start, self.rows, None, errors, metrics=self.metrics)
        found = self.results if len(good) == count else [self.results[index] for index in good]
        outputs, unfit = _batch(found, schema)
        errors.update({good[index]: error for index, error in unfit.items()})
        if len(good) < count:
            outputs = expand(outputs, good, count)
        return Result(self.start, self.rows, outputs, errors, metrics=self.metrics)


def _batch(results: list[Mapping[str, Any] | None], schema: pa.Schema) -> tuple[pa.RecordBatch, dict[int, RowError]]:
    """Arrow columns of Python values; a row with one that does not fit becomes an error, and null in all columns."""
    arrays: list[pa.Array] = []
    errors: dict[int, RowError] = {}
    for column in schema:
        name = column.name
        values = [None if result is None else result.get(name) for result in results]
        try:
            arrays.append(pa.array(values, column.type))
        except _UNFIT:
            for index, value in enumerate(values):
                try:
                    pa.array([value], column.type)
                except _UNFIT as error:
                    errors.setdefault(index, RowError.of(error, step="output", reference=name))
            arrays.append(
                pa.array([None if index in errors else value for index, value in enumerate(values)], column.type)
            )
    batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
    if errors:
        kept = [None if index in errors else index for index in range(len(results))]
        batch = batch.take(pa.array(kept, pa.int64()))
    return batch, errors
