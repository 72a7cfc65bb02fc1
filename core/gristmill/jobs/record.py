"""The job record: what is known of a job, in files under `<home>/jobs/<id>/`.

::

    request.json                 what the job computes; written once
    holder.json                  who waits for it now, where several may: a task's newest try
    runs/000001/claim.json       one attempt to run it: who, where, how; created exclusively, so a run has one runner
    runs/000001/state.json       its state, written by its runner alone
    runs/000001/progress.json    its heartbeat and counts, every two seconds
    runs/000001/cancel.json      somebody asked it to stop
    runs/000001/errors.json      the first failed rows
    runs/000001/logs/            what it printed

Each run writes only its own folder, so a runner that comes back from the dead cannot damage its successor's record.
"""

import contextlib
import json
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from pydantic import ValidationError

from gristmill.errors import ConflictError, JobNotFoundError
from gristmill.jobs.attempts import Attempts, dump
from gristmill.spec.enums import JobStatus
from gristmill.spec.request import JobRequest, RunRequest
from gristmill.storage.location import join
from gristmill.storage.storage import Storage

__all__ = ["Claim", "JobRecord", "Progress", "RunRecord", "State", "job_ids"]


@dataclass(frozen=True, slots=True)
class Claim:
    """Who runs a job, where and how.

    Attributes:
        how: the run's own request.
        owner: the user.
        host: the machine that claimed.
        claimed: seconds since the epoch.
        address: the Jobs API of the cluster that runs it; None for this machine.
        submission_id: the id under that address.
        process: the runner's process, where it is one of the claiming machine; see `gristmill.jobs.process`.
    """

    how: RunRequest
    owner: str
    host: str
    claimed: float
    address: str | None = None
    submission_id: str | None = None
    process: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """The state of one run, as its runner wrote it.

    Attributes:
        status: the state.
        message: one line for people.
        started: seconds since the epoch.
        completed: the same, for a terminal state.
    """

    status: JobStatus
    message: str = ""
    started: float | None = None
    completed: float | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; written every two seconds, which makes it the runner's heartbeat too.

    Attributes:
        time: when it was written, seconds since the epoch.
        process: which process wrote it; see `gristmill.jobs.process`.
        rows: rows done by this job, earlier runs included.
        rows_total: rows in all; None until it is known.
        errors: rows that failed.
        shards: shards done; shards_total: in all.
        rate: rows per second, lately.
        eta: seconds left; None while unknown.
        workers: workers that are ready.
        metrics: sums that models report, such as `prompt_tokens`, `cached_tokens` and `output_tokens`.
        rates: the same per second, lately.
        means: the same per second, since the run's first worker was ready.
        gauges: what the models are busy with, all workers together: `rows_in_flight`, `rows_waiting` (in the engine's
            own queue and before it), and what else an engine tells.
        dashboard: the Ray dashboard's address, if there is one.
        pace: rows done over time, as pairs of seconds since the run began and rows; see `gristmill.runner.pace`.
        ready: seconds from the run's beginning until its first worker was ready; None before, or where nobody noted it.
    """

    time: float
    process: dict[str, Any] = field(default_factory=dict)
    rows: int = 0
    rows_total: int | None = None
    errors: int = 0
    shards: int = 0
    shards_total: int = 0
    rate: float = 0.0
    eta: float | None = None
    workers: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    means: dict[str, float] = field(default_factory=dict)
    gauges: dict[str, float] = field(default_factory=dict)
    dashboard: str | None = None
    pace: list[tuple[float, int]] = field(default_factory=list)
    ready: float | None = None


class RunRecord:
    """The record of one run of a job."""

    def __init__(self, storage: Storage, folder: str, generation: int) -> None:
        self.storage = storage
        self.folder = folder
        self.generation = generation

    def _read(self, name: str) -> Any:
        try:
            return json.loads(self.storage.read_bytes(join(self.folder, name)))
        except FileNotFoundError:
            return None

    def claim(self) -> Claim:
        """Who runs it.

        Raises:
            JobNotFoundError: the record is gone.
        """
        data = self._read("claim.json")
        if data is None:
            raise JobNotFoundError(f"run {self.generation} in {self.folder!r} is gone")
        return Claim(**{**data, "how": RunRequest(**data["how"])})

    def state(self) -> State:
        """The state as written; PENDING before the runner has written any."""
        data = self._read("state.json")
        return State(JobStatus.PENDING) if data is None else State(**{**data, "status": JobStatus(data["status"])})

    def write_state(self, state: State) -> None:
        """Replace the state."""
        self.storage.write_bytes(join(self.folder, "state.json"), dump(asdict(state)))

    def progress(self) -> Progress | None:
        """The latest progress; None before the runner has started."""
        data = self._read("progress.json")
        if data is None:
            return None
        return Progress(**{**data, "pace": [(seconds, rows) for seconds, rows in data.get("pace", ())]})

    def write_progress(self, progress: Progress) -> None:
        """Replace the progress."""
        self.storage.write_bytes(join(self.folder, "progress.json"), dump(asdict(progress)))

    def ask_to_cancel(self) -> None:
        """Leave word for the runner to stop."""
        self.storage.write_bytes(join(self.folder, "cancel.json"), dump({"time": time.time()}))

    def cancel_is_asked(self) -> bool:
        """Whether somebody asked the run to stop."""
        return self._read("cancel.json") is not None

    def errors(self) -> list[dict[str, Any]]:
        """The first failed rows: row, type, message, step, reference."""
        return self._read("errors.json") or []

    def write_errors(self, errors: list[dict[str, Any]]) -> None:
        """Replace the list of failed rows."""
        self.storage.write_bytes(join(self.folder, "errors.json"), dump(errors))

    @property
    def logs(self) -> str:
        """Where the run's logs stand."""
        return join(self.folder, "logs")


class JobRecord:
    """The record of one job.

    Args:
        storage: where.
        home: the normal location of all records.
        job_id: the job.
    """

    def __init__(self, storage: Storage, home: str, job_id: str) -> None:
        self.storage = storage
        self.home = home
        self.id = job_id
        self.folder = join(home, "jobs", job_id)
        self._runs = Attempts(storage, join(self.folder, "runs"))

    def create(self, request: JobRequest) -> bool:
        """Record the request; False when the job is recorded already."""
        data = dump(request.model_dump(mode="json"))
        try:
            self.storage.write_bytes(join(self.folder, "request.json"), data, exclusive=True)
        except FileExistsError:
            return False
        return True

    def exists(self) -> bool:
        """Whether the job is recorded."""
        return self.storage.exists(join(self.folder, "request.json"))

    def request(self) -> JobRequest:
        """What the job computes.

        Raises:
            JobNotFoundError: there is no such job.
            ConflictError: the record was written by a release that this one cannot read.
        """
        try:
            return JobRequest(**json.loads(self.storage.read_bytes(join(self.folder, "request.json"))))
        except FileNotFoundError:
            raise JobNotFoundError(
                f"there is no job {self.id!r} in {self.home!r}; list_jobs() shows those there are"
            ) from None
        except (TypeError, ValueError, ValidationError) as error:
            raise ConflictError(
                f"the record of job {self.id!r} does not read as a request of this release: {error}"
            ) from error

    def hold(self, holder: str) -> None:
        """Note who waits for the job now."""
        self.storage.write_bytes(join(self.folder, "holder.json"), dump({"holder": holder}))

    def holder(self) -> str | None:
        """Who was noted last; None when nobody was."""
        try:
            found: str = json.loads(self.storage.read_bytes(join(self.folder, "holder.json")))["holder"]
        except FileNotFoundError:
            return None
        return found

    def latest(self) -> RunRecord | None:
        """The newest run; None when the job was never started."""
        generation = self._runs.latest()
        return None if generation is None else self.run(generation)

    def run(self, generation: int) -> RunRecord:
        """The record of one run."""
        return RunRecord(self.storage, self._runs.folder_of(generation), generation)

    def claim(self, claim: Claim, *, after: int) -> RunRecord | None:
        """Begin the run after `after` (0 for the first); None when another has begun it."""
        run = self.run(after + 1)
        data = dump({**asdict(claim), "how": claim.how.model_dump(mode="json")})
        try:
            self.storage.write_bytes(join(run.folder, "claim.json"), data, exclusive=True)
        except FileExistsError:
            return None
        return run

    def is_superseded(self, generation: int) -> bool:
        """Whether a newer run than `generation` has begun."""
        latest = self.latest()
        return latest is None or latest.generation > generation

    def delete(self) -> None:
        """Remove the record."""
        self.storage.delete_tree(self.folder)

    @classmethod
    def find(cls, storage: Storage, home: str, id_or_name: str) -> Self:
        """The job with this id, or the newest with this name.

        Raises:
            JobNotFoundError: there is none.
        """
        record = cls(storage, home, id_or_name)
        if "/" not in id_or_name and record.exists():
            return record
        matching = []
        for job_id in job_ids(storage, home):
            named = cls(storage, home, job_id)
            with contextlib.suppress(ConflictError, JobNotFoundError):  # half written, or just being deleted
                request = named.request()
                if request.name == id_or_name:
                    matching.append((request.created, named))
        if not matching:
            raise JobNotFoundError(f"there is no job {id_or_name!r} in {home!r}; list_jobs() shows those there are")
        return max(matching, key=lambda pair: pair[0])[1]


def job_ids(storage: Storage, home: str) -> list[str]:
    """The ids of all recorded jobs."""
    return sorted(storage.children(join(home, "jobs")))
