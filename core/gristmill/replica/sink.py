"""The last stage of a worker: results become parts, and the runner is told."""

import secrets
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa

from gristmill.errors import ConflictError, OutputError, PartitionError, SpecError
from gristmill.outputs.part import PartWriter
from gristmill.outputs.schema import error_array, output_schema, schema_digest
from gristmill.replica.agreement import Agreement
from gristmill.replica.inference import Result
from gristmill.replica.messages import Event, PartDone, Task, TaskFailed
from gristmill.replica.meter import Meter
from gristmill.replica.stream import TaskCut, TaskEnd, TaskStart
from gristmill.spec.row_error import RowError
from gristmill.storage.location import join
from gristmill.storage.storage import Storage

__all__ = ["Sink"]

_ROLL_ROWS = 4_000_000
_ROLL_BYTES = 512 * 1024**2
_SAMPLES = 100


class _Part:
    """A part being written, and what is known of its rows."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.rows = 0
        self.height = 0
        self.partitions = 0
        self.reduces = False  # whether the rows of the output are others than those of the input
        self.errors = 0
        self.samples: list[tuple[int, RowError]] = []
        self.metrics: dict[str, float] = {}
        self.outputs: pa.Schema | None = None
        self.file: str | None = None
        self.writer: PartWriter | None = None
        self.bytes = 0
        self.spoiled = False


class Sink:
    """Writes the results of tasks, in order, as parts.

    A task ends as one part, or as several: a long task is cut every few million rows or half a GiB, so that a resume
    finds them; a part ends where the types of the outputs become better known, and before rows that have no result when
    the job ends.

    Args:
        storage: where parts go.
        parts: the folder.
        input_schema: the columns of the input that stand in the output.
        agreement: the output columns.
        record_errors: keep failed rows, with an `_error` column; otherwise a part with failed rows is not kept.
        send: tells the runner.
        meter: what is taken from it again when rows are lost, since they will be done again.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        parts: str,
        input_schema: pa.Schema,
        agreement: Agreement,
        record_errors: bool,
        send: Callable[[Event], None],
        meter: Meter,
    ) -> None:
        self._storage = storage
        self._folder = parts
        self._input_schema = input_schema
        self._agreement = agreement
        self._record_errors = record_errors
        self._send = send
        self._meter = meter
        self._task: Task | None = None
        self._part = _Part(0)
        self._failure: Exception | None = None
        self._failed: set[int] = set()
        self._finishing: deque[Future[None]] = deque()

    def run(self, items: Iterable[TaskStart | Result | TaskCut | TaskEnd]) -> None:
        """Consume everything; failures to write are told as `TaskFailed`, one task at a time.

        Parts are finished (their last rows written, the file made durable) and told by a thread of its own, while the
        next one is begun here.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="finish") as self._finisher:
            try:
                for item in items:
                    self._consume(item)
            finally:
                self._abandon(self._part)  # the worker stops in the middle of a task

    def _consume(self, item: TaskStart | Result | TaskCut | TaskEnd) -> None:
        if isinstance(item, TaskStart):
            self._task, self._part, self._failure = item.task, _Part(item.task.start), None
            return
        assert self._task is not None
        try:
            if self._failure is None and isinstance(item, Result):
                self._take(self._task, item)
            elif self._failure is None and isinstance(item, TaskCut):
                if self._part.rows:
                    self._finish(self._task, self._part, last=False)
                self._part = _Part(0)
            elif self._failure is None and isinstance(item, TaskEnd) and item.error is None:
                self._finish(self._task, self._part, last=True)
                self._part = _Part(0)
        except Exception as error:  # noqa: BLE001 - whatever writing raises is told, and the task given back
            self._failure = error
        if isinstance(item, Result):
            if self._failure is not None:
                self._lose(item.taken, len(item.errors), item.metrics)
            return
        problem = self._failure or (item.error if isinstance(item, TaskEnd) else None)
        if problem is not None:
            self._submit(self._fail, self._task, self._part, problem)
            self._part = _Part(0)

    def _take(self, task: Task, result: Result) -> None:
        part = self._part
        outputs = self._outputs_of(part, result)
        changed = part.rows > 0 and outputs is not None and not _same(outputs, part.outputs)
        skips = result.start != part.start + part.rows  # rows that are not back, where a task is cut
        is_long = max(part.rows, part.height) >= _ROLL_ROWS or part.bytes >= _ROLL_BYTES
        goes_on = result.covered is not None and result.covered.partitions == 0  # a partition is never cut
        if not goes_on and (changed or skips or is_long):
            if part.rows:
                self._finish(task, part, last=False)
            part = self._part = _Part(result.start)
        if part.rows == 0:
            part.outputs = outputs
            part.reduces = result.covered is not None and result.covered.written is not None
        part.spoiled = part.spoiled or result.cut or (bool(result.errors) and not self._record_errors)
        if part.spoiled:
            self._abandon(part)
        elif result.height:
            self._write(part, result)
        part.rows += result.taken
        part.height += result.height
        part.partitions += 0 if result.covered is None else result.covered.partitions
        part.bytes += result.rows.nbytes
        if part.reduces and result.outputs is not None:
            part.bytes += result.outputs.nbytes  # of which there may be far more
        part.errors += len(result.errors)
        for name, value in result.metrics.items():
            part.metrics[name] = part.metrics.get(name, 0) + value
        for index, error in list(result.errors.items())[: _SAMPLES - len(part.samples)]:
            part.samples.append((result.start + index, error))

    def _outputs_of(self, part: _Part, result: Result) -> pa.Schema | None:
        if result.outputs is not None:
            return result.outputs.schema
        return self._agreement.schema if part.outputs is None else part.outputs

    def _write(self, part: _Part, result: Result) -> None:
        if part.writer is None:
            known = pa.schema([]) if part.outputs is None else part.outputs
            schema = output_schema(self._input_schema, known, record_errors=self._record_errors)
            part.file = f"{secrets.token_hex(8)}.parquet"
            part.writer = PartWriter(self._storage, join(self._folder, part.file), schema)
        columns = list(result.rows.columns)
        if result.outputs is not None:
            columns += result.outputs.columns
        elif part.outputs is not None:
            columns += [pa.nulls(result.height, field.type) for field in part.outputs]
        if self._record_errors:
            columns.append(error_array(result.height, result.errors))
        part.writer.write(pa.RecordBatch.from_arrays(columns, schema=part.writer.schema))

    def _finish(self, task: Task, part: _Part, *, last: bool) -> None:
        self._submit(self._close, task, part, last)

    def _submit(self, work: Callable[..., None], *arguments: object) -> None:
        """Let the finishing thread do something, after what it has to do already; one part may wait, not more."""
        if len(self._finishing) > 1:
            self._finishing.popleft().result()
        self._finishing.append(self._finisher.submit(work, *arguments))

    def _close(self, task: Task, part: _Part, last: bool) -> None:  # noqa: FBT001 - called by the executor
        if task.id in self._failed:
            self._drop(part)
            return
        size, digest = 0, ""
        try:
            if part.writer is not None:
                written = part.writer.close()
                assert written.rows == part.height, f"part {part.file} has {written.rows} rows instead of {part.height}"
                size, digest = written.bytes, schema_digest(part.writer.schema)
        except Exception as error:  # noqa: BLE001 - whatever writing raises is told, and the task given back
            self._fail(task, part, error)
            return
        file = part.file if part.writer is not None else None
        samples = tuple(part.samples)
        self._send(
            PartDone(
                task.id, part.start, part.rows, file, size, digest, part.errors, samples, part.metrics, last,
                partitions=part.partitions, written=(part.height if file else 0) if part.reduces else None,
                spoiled=part.spoiled,
            )
        )  # fmt: skip

    def _fail(self, task: Task, part: _Part, error: Exception) -> None:
        self._drop(part)
        if task.id not in self._failed:
            self._failed.add(task.id)
            self._send(_failure(task, error))

    def _abandon(self, part: _Part) -> None:
        if part.writer is not None:
            part.writer.abort()
            part.writer = None

    def _drop(self, part: _Part) -> None:
        self._abandon(part)
        self._lose(part.rows, part.errors, part.metrics)

    def _lose(self, rows: int, errors: int, metrics: Mapping[str, float]) -> None:
        self._meter.add(rows=-rows, errors=-errors, metrics={name: -value for name, value in metrics.items()})


def _same(one: pa.Schema, other: pa.Schema | None) -> bool:
    return other is not None and one.equals(other)


def _failure(task: Task, error: Exception) -> TaskFailed:
    lasting = SpecError | ConflictError | OutputError | PartitionError | PermissionError
    retryable = not isinstance(error, lasting)
    return TaskFailed(task.id, type(error).__name__, str(error) or repr(error), retryable)
