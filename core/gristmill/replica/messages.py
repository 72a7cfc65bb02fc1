"""What the runner and its workers say to each other. It is small and can be pickled; rows never travel this way."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from gristmill.inputs.formats import Format
from gristmill.partitions.rule import Partitioning
from gristmill.plan.shards import Shard
from gristmill.settings import Settings
from gristmill.spec.input import ColumnHandling
from gristmill.spec.row_error import RowError

__all__ = [
    "Advanced", "Announced", "Assign", "Began", "Command", "Died", "EngineDied", "Event", "Fatal", "Log", "PartDone",
    "Proposed", "Ready", "Rested", "Stop", "Task", "TaskFailed", "UseSchema", "Wants", "WorkerSpec",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Task:
    """A range of a shard's rows, to be done by one worker.

    Attributes:
        id: unique within a run.
        shard: the shard.
        start: the first row, counted within the shard.
        stop: the row after the last; None for the shard's end.
        is_rerun: a worker died while it ran some of these rows, perhaps for a reason of its own.
        careful: the range is suspected of killing its worker: announce each call to the model before making it.
        deaths: how many workers have died while they ran nothing but this one row.
        failures: how often storage has failed it.
        verdict: do not run the model; record every row as failed with this error.
    """

    id: int
    shard: Shard
    start: int = 0
    stop: int | None = None
    is_rerun: bool = False
    careful: bool = False
    deaths: int = 0
    failures: int = 0
    verdict: RowError | None = None

    @property
    def rows(self) -> int | None:
        """How many rows; None while that is not known."""
        stop = self.shard.rows if self.stop is None else self.stop
        return None if stop is None else stop - self.start


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """All a worker needs to know of a job.

    Attributes:
        settings: storage options, resolver bounds, stages.
        job: the job's id, for names.
        engine, model, function, params, options: what to run; see `LoadContext`.
        registry, digest: of a registered model: where it is, unless in the settings' registry, and what its content was
            pinned to.
        format, input_schema: how to read shards.
        column_handling, allowed: how to resolve file columns.
        messages: the input's own name of the column of chat messages, which is resolved too; None where there is none.
        partitioning: how rows belong together; None where the function runs row by row.
        partition_bytes: of one partition at most.
        parts: the folder for parts.
        outputs: the agreed output columns, if they are known already.
        record_errors: whether parts have an `_error` column.
        error_budget: a worker that has seen more failed rows than this stops looking for more in a task.
        max_batch_rows: the user's bound on one call, or None.
        threads, gpus: of one worker.
        workers: how many workers the job has.
        sys_path: the client's module search path, so that its modules are found.
    """

    settings: Settings
    job: str
    engine: str
    model: str
    function: str
    params: Mapping[str, Any]
    options: Mapping[str, Any]
    format: Format
    input_schema: pa.Schema
    column_handling: Mapping[str, ColumnHandling]
    allowed: tuple[str, ...]
    parts: str
    outputs: pa.Schema | None
    record_errors: bool
    error_budget: int | None = None
    max_batch_rows: int | None = None
    threads: int = 1
    gpus: float = 0.0
    workers: int = 1
    sys_path: tuple[str, ...] = ()
    registry: str | None = None
    digest: str | None = None
    messages: str | None = None
    partitioning: Partitioning | None = None
    partition_bytes: int = 0


# Commands, from the runner to a worker


@dataclass(frozen=True, slots=True)
class Assign:
    """Do these tasks, in order."""

    tasks: tuple[Task, ...]


@dataclass(frozen=True, slots=True)
class UseSchema:
    """The output columns all workers agree on from now."""

    outputs: pa.Schema


@dataclass(frozen=True, slots=True)
class Stop:
    """Finish nothing more; close the model and end."""


Command = Assign | UseSchema | Stop


# Events, from a worker to the runner


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded, after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Began:
    """The model starts on a task's rows."""

    task: int


@dataclass(frozen=True, slots=True)
class Rested:
    """The model has no row of a task now; it may begin on it again."""

    task: int


@dataclass(frozen=True, slots=True)
class Announced:
    """A careful task is about to run these rows of its shard: [start, stop).

    Attributes:
        task: the task.
        start, stop: the rows.
        is_one: they are a partition, which cannot be run in parts.
    """

    task: int
    start: int
    stop: int
    is_one: bool = False


@dataclass(frozen=True, slots=True)
class Proposed:
    """The output columns that the first batch gave; the worker waits for `UseSchema`."""

    outputs: pa.Schema


@dataclass(frozen=True, slots=True)
class PartDone:
    """Rows [start, start + rows) of a task's shard are done.

    Attributes:
        task: the task.
        start: the first row, counted within the shard.
        rows: how many.
        file: the part's name in the parts folder; None when nothing was kept (no rows, or failed rows that are not
            to be recorded).
        bytes: its size.
        digest: of the part's schema.
        errors: rows that failed.
        samples: some of them: place within the shard, and why.
        metrics: sums that the engine reports.
        last: whether the task ends here.
        partitions: how many partitions the rows are; 0 where the function runs row by row.
        written: rows in the part, where these are not the `rows`: of a function whose partitions have other numbers of
            rows in the output.
        spoiled: some of the rows have no result that stands, so nothing was kept: they are to be done again.
    """

    task: int
    start: int
    rows: int
    file: str | None
    bytes: int = 0
    digest: str = ""
    errors: int = 0
    samples: tuple[tuple[int, RowError], ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    last: bool = True
    partitions: int = 0
    written: int | None = None
    spoiled: bool = False


@dataclass(frozen=True, slots=True)
class Advanced:
    """What a worker has done since it started; told about once a second.

    Attributes:
        rows: rows done, those in finished parts included.
        errors: those of them that failed.
        metrics: sums that the model reports, such as tokens.
        gauges: what it is busy with now: `rows_in_flight`, `rows_waiting`, and what the engine adds.
    """

    rows: int
    errors: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    gauges: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wants:
    """The worker has read all of its tasks and could hold so many rows more.

    Attributes:
        rows: how many.
        is_urgent: its model will soon have nothing to do.
    """

    rows: int
    is_urgent: bool


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """A task could not be done for a reason that is not a row's: storage, a full disk, a file that changed."""

    task: int
    type: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Fatal:
    """The worker cannot go on, nor could another: the model does not load."""

    type: str
    message: str


@dataclass(frozen=True, slots=True)
class EngineDied:
    """The engine behind the model is gone, and the worker ends; `Died` follows.

    Attributes:
        reason: what the engine said.
        tasks: those that had rows in flight.
    """

    reason: str
    tasks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Died:
    """The worker's process is gone. Said by the executor; nothing follows until the worker is restarted."""

    reason: str


@dataclass(frozen=True, slots=True)
class Log:
    """Text that the worker printed."""

    text: str


Event = (
    Advanced
    | Announced
    | Began
    | Died
    | EngineDied
    | Fatal
    | Log
    | PartDone
    | Proposed
    | Ready
    | Rested
    | TaskFailed
    | Wants
)
