"""Running a batch model over partitions: each call sees one partition, whole."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pyarrow as pa

from gristmill.engines.protocol import BatchModel, EngineDeadError
from gristmill.inputs.block import Block
from gristmill.partitions.grouped import too_large
from gristmill.partitions.keys import changes, comparable, key_text
from gristmill.partitions.rule import Partitioning
from gristmill.replica.agreement import Agreement, conform, seen_schema
from gristmill.replica.inference import Covered, ErrorBudget, Result
from gristmill.replica.joined import Joined
from gristmill.spec.row_error import RowError

__all__ = ["PartitionRunner"]

_PIECE_ROWS = 8_192
"""Rows of a failed partition that are told at a time."""

_Announce = Callable[[int, int], None] | None


@dataclass(slots=True)
class _Partition:
    """A partition whose rows are still coming.

    Attributes:
        start: its first row's place within the shard.
        key: one row of the column of keys; a row of no columns where there is none.
        rows: what has come, where it is needed.
        model_rows: what the model will receive; none once they are too many.
        count: how many rows have come.
        bytes: of these rows, as the model would receive them.
        errors: rows that have failed before, by their place in the partition.
    """

    start: int
    key: pa.RecordBatch
    rows: list[pa.RecordBatch] = field(default_factory=list)
    model_rows: list[pa.RecordBatch] = field(default_factory=list)
    count: int = 0
    bytes: int = 0
    errors: dict[int, RowError] = field(default_factory=dict)

    @property
    def name(self) -> str | None:
        """The key as text; None where there is none."""
        return key_text(self.key.column(0)[0].as_py()) if self.key.num_columns else None


class PartitionRunner:
    """Runs a batch model over the partitions of a task, which come as blocks, in order.

    A partition is whole or it fails: one whose call raises, that is too large, or that has a row which could not be
    read or resolved. Then each of its rows fails where the function gives one for each; else the partition does, as one
    row. Results of small partitions are handed on together.

    Args:
        model: the loaded model.
        agreement: the output columns.
        budget: how many failures to look for.
        partitioning: what tells partitions apart, and what becomes of them.
        most_bytes: of one partition, as the model receives it.
    """

    def __init__(
        self,
        model: BatchModel,
        agreement: Agreement,
        budget: ErrorBudget,
        partitioning: Partitioning,
        *,
        most_bytes: int,
    ) -> None:
        self._model = model
        self._agreement = agreement
        self._budget = budget
        self._column = partitioning.column
        self._reduces = partitioning.reduces
        self._most = most_bytes
        self._open: _Partition | None = None
        self._joined = Joined(reduces=self._reduces)

    def begin(self) -> None:
        """A task begins: what is left of one that was cut short is dropped."""
        self._open = None
        self._joined = Joined(reduces=self._reduces)

    def run(self, block: Block, *, announce: _Announce = None) -> Iterator[Result]:
        """The results of partitions that have ended, as far as enough have come together.

        Args:
            block: the rows.
            announce: told the rows of each call, [start, stop) within the shard, before it is made.
        """
        count = block.rows.num_rows
        starts = self._starts(block)
        keys = block.rows.select([] if self._column is None else [self._column])
        width = block.model_rows.nbytes / max(1, count)
        for start, stop in zip([0, *starts], [*starts, count], strict=True):
            if start == stop:  # a block begins with a partition, or is empty
                continue
            partition = self._open
            if partition is None or start > 0 or starts[:1] == [0]:
                yield from self._finish(announce)
                if self._budget.is_spent:
                    return
                partition = self._open = _Partition(block.start + start, keys.slice(start, 1))
            self._add(partition, block, start, stop, int(width * (stop - start)))

    def end(self, *, announce: _Announce = None) -> Iterator[Result]:
        """The results of what is left: the task's rows have all come."""
        yield from self._finish(announce)
        yield from self._joined.flush()

    def _starts(self, block: Block) -> list[int]:
        """Where partitions begin in a block: 0 among them unless its first rows belong to the open one."""
        if self._column is None:
            return [] if self._open is not None else [0]
        keys = comparable(block.rows.column(block.rows.schema.get_field_index(self._column)))
        if self._open is None:
            return [0, *changes(keys)]
        last = comparable(self._open.key.column(0))
        return [place - 1 for place in changes(pa.concat_arrays([last, keys]))]

    def _add(self, partition: _Partition, block: Block, start: int, stop: int, size: int) -> None:
        length = stop - start
        if length == block.rows.num_rows:
            size = block.model_rows.nbytes
        elif size > self._most:
            size = block.model_rows.slice(start, length).nbytes
        partition.bytes += size
        if partition.bytes > self._most:
            partition.model_rows.clear()
        else:
            partition.model_rows.append(block.model_rows.slice(start, length))
        if not self._reduces:
            partition.rows.append(block.rows.slice(start, length))
        for place, error in block.errors.items():
            if start <= place < stop:
                partition.errors[partition.count + place - start] = error
        partition.count += length

    def _finish(self, announce: _Announce) -> Iterator[Result]:
        partition, self._open = self._open, None
        if partition is None:
            return
        if announce is not None:
            announce(partition.start, partition.start + partition.count)
        failure = self._failure(partition)
        errors: dict[int, RowError] = {}
        outputs: pa.RecordBatch | None = None
        if failure is None:
            try:
                outputs, errors = self._infer(partition)
            except EngineDeadError:
                raise
            except Exception as error:  # noqa: BLE001 - a model may raise anything, and it is data here
                failure = RowError.of(error, step="infer", reference=partition.name)
        if self._reduces and errors:
            failure = replace(next(iter(errors.values())), reference=partition.name)
        if failure is not None:
            yield from self._joined.flush()
            yield from self._failed(partition, failure)
            return
        self._budget.spent += len(errors)
        rows = _repeated(partition.key, outputs) if self._reduces else _one(partition.rows)
        yield from self._joined.add(partition.start, partition.count, rows, outputs, errors)
        if self._budget.is_spent:
            yield from self._joined.flush(cut=True)

    def _infer(self, partition: _Partition) -> tuple[pa.RecordBatch | None, dict[int, RowError]]:
        """The outputs, none where there are no rows of them, and the rows that do not fit."""
        outputs = self._model.infer(_one(partition.model_rows))
        partition.model_rows.clear()
        if not self._reduces and outputs.num_rows != partition.count:
            raise ValueError(f"the model gave {outputs.num_rows} rows for {partition.count}; it must give one for each")
        if not outputs.num_rows:
            return None, {}
        agreed = self._agreement.schema
        if agreed is not None and outputs.schema.equals(agreed):  # which is quicker to see than what the values are
            return outputs, {}
        return conform(outputs, self._agreement.settle(seen_schema(outputs)))

    def _failure(self, partition: _Partition) -> RowError | None:
        """Why a partition cannot be run."""
        if partition.errors:
            place, first = next(iter(partition.errors.items()))
            if len(partition.errors) == partition.count and first.type == "WorkerDied":
                return replace(first, reference=partition.name)
            what = f" ({first.reference})" if first.reference else ""
            message = (
                f"{len(partition.errors):,} of the {partition.count:,} rows of the partition failed before, the first "
                f"of them row {place} of it{what}: {first.type}: {first.message}"
            )
            return RowError("PartitionError", message, first.step, partition.name)
        if partition.bytes > self._most:
            error = too_large(
                self._column, partition.name, rows=partition.count, size_=partition.bytes, most=self._most
            )
            return RowError.of(error, step="infer", reference=partition.name)
        return None

    def _failed(self, partition: _Partition, failure: RowError) -> Iterator[Result]:
        if self._reduces:
            self._budget.spent += 1
            covered = Covered(partition.count, 1, 1)
            yield Result(partition.start, partition.key, None, {0: failure}, cut=self._budget.is_spent, covered=covered)
            return
        self._budget.spent += partition.count
        at = 0
        for batch in partition.rows:
            for start in range(0, batch.num_rows, _PIECE_ROWS):
                rows = batch.slice(start, _PIECE_ROWS)
                errors = {place: partition.errors.get(at + place, failure) for place in range(rows.num_rows)}
                is_last = at + rows.num_rows == partition.count
                yield Result(
                    partition.start + at,
                    rows,
                    None,
                    errors,
                    cut=is_last and self._budget.is_spent,
                    covered=Covered(rows.num_rows, int(at == 0)),
                )
                at += rows.num_rows


def _one(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def _repeated(key: pa.RecordBatch, outputs: pa.RecordBatch | None) -> pa.RecordBatch:
    """The key for each row of the outputs."""
    count = 0 if outputs is None else outputs.num_rows
    if count == 1:
        return key
    return key.slice(0, 0) if not count else key.take(pa.array([0] * count, pa.int64()))
