"""`Job`: the handle that `run_batch` and `get_job` return."""

import contextlib
import sys
import time
from typing import Any, Never

from gristmill.errors import JobNotFoundError, JobStateError, OutputError, PlacementError, SpecError
from gristmill.jobs.cluster import cluster_at
from gristmill.jobs.judgement import verdict_of
from gristmill.jobs.logs import instances, read_log
from gristmill.jobs.record import JobRecord, Progress, RunRecord, State
from gristmill.jobs.status import Verdict
from gristmill.outputs.manifest import Manifest, read_manifest
from gristmill.spec.enums import JobStatus
from gristmill.spec.request import JobRequest

__all__ = ["Job"]

_FIRST_POLL = 0.02
_LAST_POLL = 1.0
_PATIENCE = 0.02
"""Pauses grow to this share of the time waited so far: a short job is noticed at once, a long one costs few looks."""


class Job:
    """A job, wherever it runs. Reads the job's record; holds no state of its own, so any number of handles agree.

    Example:
        >>> job = gristmill.run_batch(
        ...     "echo:",
        ...     pa.table({"x": [1, 2]}),
        ...     compute_pool="inline",
        ...     output_spec=gristmill.OutputSpec(location="memory://job-of-an-example", mode="overwrite"),
        ...     settings=gristmill.Settings(home="memory://home"),
        ... )
        >>> job.wait().value
        'DONE'
    """

    def __init__(self, record: JobRecord) -> None:
        self._record = record
        self._request: JobRequest | None = None

    def __repr__(self) -> str:
        return f"Job(id={self.id!r}, status={self.status.value})"

    @property
    def id(self) -> str:
        """What names this job, and no other."""
        return self._record.id

    @property
    def record(self) -> JobRecord:
        """The files behind this handle."""
        return self._record

    @property
    def request(self) -> JobRequest:
        """What the job computes."""
        if self._request is None:
            self._request = self._record.request()
        return self._request

    @property
    def name(self) -> str:
        """The name that was given, or made up from a prefix."""
        return self.request.name

    @property
    def location(self) -> str:
        """Where the output stands once the job is done."""
        return self.request.location

    @property
    def status(self) -> JobStatus:
        """The effective state: a job whose runner is gone is not RUNNING."""
        return self.verdict().status

    @property
    def message(self) -> str:
        """One line about the state: what a failed job failed of."""
        return self.verdict().message

    @property
    def target_instances(self) -> int:
        """How many replicas the job asked for."""
        run = self._record.latest()
        return 0 if run is None else run.claim().how.job_spec.replicas

    @property
    def min_instances(self) -> int:
        """How many replicas must be there for the job to start: one."""
        return 1

    @property
    def compute_pool(self) -> str:
        """The pool of the newest run."""
        run = self._record.latest()
        return "" if run is None else run.claim().how.pool

    def verdict(self) -> Verdict:
        """The effective state and its message, of one moment."""
        run = self._record.latest()
        if run is None and not self._record.exists():
            return Verdict(JobStatus.DELETED, "deleted")
        return verdict_of(run)

    def _run(self) -> RunRecord:
        run = self._record.latest()
        if run is None and not self._record.exists():
            raise JobNotFoundError(f"job {self.id!r} was deleted; run_batch() runs the request as a new job")
        if run is None:
            raise JobStateError(f"job {self.id!r} was recorded but never started; run it again")
        return run

    def state(self) -> State:
        """The newest run's state as its runner wrote it, with its times."""
        run = self._record.latest()
        return State(JobStatus.PENDING) if run is None else run.state()

    def progress(self) -> Progress | None:
        """Rows, rate, errors and time left, at most two seconds old; None before the runner has started."""
        run = self._record.latest()
        return None if run is None else run.progress()

    def errors(self) -> list[dict[str, Any]]:
        """The first failed rows: shard, row, type, message, step, reference; at most 1,000."""
        run = self._record.latest()
        return [] if run is None else run.errors()

    def wait(self, timeout: float = -1) -> JobStatus:
        """Wait for the job to end.

        Args:
            timeout: seconds; negative waits for ever.

        Returns:
            The terminal state. A failed job is returned, not raised.

        Raises:
            TimeoutError: it has not ended by then; it goes on.
        """
        deadline = None if timeout < 0 else time.monotonic() + timeout
        began = time.monotonic()
        while not (status := self.status).is_terminal:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError(f"job {self.id!r} is {status.value} after {timeout:g} s; it goes on, wait() again")
            pause = min(_LAST_POLL, max(_FIRST_POLL, _PATIENCE * (time.monotonic() - began)))
            time.sleep(pause if left is None else min(pause, left))
        return status

    def get_logs(
        self,
        limit: int = -1,
        instance_id: int | str | None = None,
        *,
        as_list: bool = False,
        verbose: bool = False,
    ) -> str | list[str]:
        """What the newest run printed.

        Args:
            limit: the last so many lines; negative for all.
            instance_id: a worker's number, or an instance's name; None for the runner and all workers.
            as_list: lines instead of one text.
            verbose: begin each line with its instance.

        Raises:
            SpecError: the run has no such instance.
            JobNotFoundError: the job was deleted.
        """
        run = self._run()
        names = instances(self._record.storage, run.logs)
        if instance_id is not None:
            wanted = f"worker-{instance_id}" if isinstance(instance_id, int) or instance_id.isdigit() else instance_id
            how = run.claim().how.job_spec
            silent = {"runner", *(f"worker-{number}" for number in range(how.replicas * how.num_workers))}
            if wanted not in names and wanted not in silent:
                raise SpecError(
                    f"instance_id {instance_id!r}: job {self.id!r} has no such instance; those that have logged are"
                    f" {', '.join(names) or 'none yet'}"
                )
            names = [wanted] if wanted in names else []
        lines: list[str] = []
        for name in names:
            text = read_log(self._record.storage, run.logs, name)
            lines += [f"[{name}] {line}" if verbose else line for line in text.splitlines()]
        if limit >= 0:
            lines = lines[len(lines) - limit :] if limit < len(lines) else lines
        return lines if as_list else "\n".join(lines)

    def show_logs(self, limit: int = -1, instance_id: int | str | None = None, *, verbose: bool = False) -> None:
        """Print what `get_logs` returns."""
        sys.stdout.write(f"{self.get_logs(limit, instance_id, verbose=verbose)}\n")

    def cancel(self, *, holder: str | None = None) -> bool:
        """Ask the job to stop; its replicas are gone within 30 seconds. A job that has ended stays as it is.

        Args:
            holder: on whose behalf; a job that another has come to `hold` since goes on.

        Returns:
            Whether it was asked to stop.

        Raises:
            JobNotFoundError: the job was deleted.
        """
        run = self._run()
        if holder is not None and self._record.holder() not in (None, holder):
            return False
        verdict = self.verdict()
        if verdict.status.is_terminal:
            if verdict.status is JobStatus.INTERNAL_ERROR and not run.state().status.is_terminal:
                run.ask_to_cancel()  # its runner is gone: the record now says that nobody wants it back
            return False
        run.ask_to_cancel()
        claim = run.claim()
        if claim.address is not None and claim.submission_id is not None and run.progress() is None:
            # it may wait for nodes, and nobody hears; one that is not there yet, or out of reach, hears as it starts
            with contextlib.suppress(JobNotFoundError, PlacementError):
                cluster_at(self._record.storage.settings, claim.address).stop(claim.submission_id)
        return True

    def hold(self, holder: str) -> None:
        """Say who waits for the job now: one who waited before does not cancel it any more; see `cancel`."""
        self._record.hold(holder)

    @property
    def output_stands(self) -> bool:
        """Whether the output at the location is this job's, neither deleted nor replaced since."""
        try:
            return read_manifest(self._record.storage, self.location).job == self.id
        except OutputError:
            return False

    def manifest(self) -> Manifest:
        """The manifest of the job's output.

        Raises:
            JobStateError: the job is not DONE.
            OutputError: the output is not there any more, or another job has replaced it.
        """
        verdict = self.verdict()
        if verdict.status is not JobStatus.DONE:
            raise JobStateError(
                f"job {self.id!r} is {verdict.status.value}: {verdict.message}; only a DONE job has an output"
            )
        manifest = read_manifest(self._record.storage, self.location)
        if manifest.job != self.id:
            raise OutputError(
                f"{self.location!r} holds the output of job {manifest.job!r}, which replaced that of job {self.id!r}; "
                "give each request a location of its own, or run this one again"
            )
        return manifest

    def result(self) -> Never:
        """Not for batch jobs: rows do not travel through handles.

        Raises:
            JobStateError: always; says where the output is.
        """
        raise JobStateError(f"a batch job has no result() to fetch; read_output({self.location!r}) reads its rows")

    def get_ray_dashboard_url(self) -> str:
        """The address of Ray's dashboard for this job.

        Raises:
            JobNotFoundError: the job runs without Ray, or Ray without a dashboard.
        """
        run = self._record.latest()
        claim = None if run is None else run.claim()
        if claim is not None and claim.address is not None:
            return claim.address
        progress = self.progress()
        if progress is None or progress.dashboard is None:
            raise JobNotFoundError(
                f"job {self.id!r} has no Ray dashboard: it does not run on a Ray cluster that serves one"
            )
        return progress.dashboard
