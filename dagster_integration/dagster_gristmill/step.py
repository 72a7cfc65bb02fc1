"""`Step`: what a step of Dagster does: one job for each partition of its run, waited for, and recorded."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from dagster_gristmill.failures import as_failure, failure_of_partitions
from dagster_gristmill.followed import FollowedJob
from dagster_gristmill.options import StepOptions
from dagster_gristmill.partition import job_key
from dagster_gristmill.request import BatchRequest
from gristmill.errors import GristmillError
from gristmill.spec.enums import JobStatus

if TYPE_CHECKING:
    from gristmill.jobs.handle import Job
    from gristmill.outputs.manifest import Manifest
    from gristmill.settings import Settings

__all__ = ["Finished", "Step"]

_INTERRUPTS = (dg.DagsterExecutionInterruptedError, KeyboardInterrupt)


@dataclass(frozen=True, slots=True)
class Finished:
    """A partition whose output stands.

    Attributes:
        partition: its key; None where the asset has no partitions.
        job: the job that made the output.
        manifest: of the output.
    """

    partition: str | None
    job: "Job"
    manifest: "Manifest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The jobs of one step. They outlive it: only somebody who terminates the run cancels them.

    Attributes:
        asset_key: the asset.
        partitions: the keys; `[None]` where the asset has none.
        partitions_def: what they are keys of.
        request: what is asked of each.
        settings: the settings in force.
        given: the input of a partition, where the request does not say it: `X` or `input_location`.
        holder: who waits for the jobs: another try that comes to wait for one keeps it.
        force_rerun: the wish of a forced rerun; False for none.
        options: how it goes about them.
        log: Dagster's.
        is_terminated: whether somebody has terminated the run; asked where Dagster drops the step without a word.
    """

    asset_key: dg.AssetKey
    partitions: Sequence[str | None]
    partitions_def: dg.PartitionsDefinition | None
    request: BatchRequest
    settings: "Settings"
    given: Callable[[str | None], Mapping[str, Any] | None]
    holder: str
    force_rerun: bool | str
    options: StepOptions
    log: Any
    is_terminated: Callable[[], bool] = lambda: False

    def run(self, record: Callable[[Finished], Iterator[Any]]) -> Iterator[Any]:
        """Start or find the jobs, wait for them, and record each partition as it finishes.

        Args:
            record: makes the events of a partition whose output stands.

        Raises:
            Failure: one or more have failed; the others have been recorded by then.
            DagsterExecutionInterruptedError: the run is terminated; the jobs are cancelled.
        """
        todo = list(self.partitions)
        starting: list[str | None] = []
        live: dict[str | None, FollowedJob] = {}
        failed: dict[str | None, Exception] = {}
        try:
            while todo or live:
                while todo and len(live) < self.options.partitions_at_once:
                    starting = [todo.pop(0)]
                    with self._kept(failed, starting[0]):
                        live[starting[0]] = self._start(starting[0])
                    starting = []
                for partition, followed in list(live.items()):
                    with self._kept(failed, partition):
                        if not followed.look(time.monotonic()):
                            continue
                        yield from record(self._finished(partition, followed.job))
                    del live[partition]
                if live and (len(live) == self.options.partitions_at_once or not todo):
                    now = time.monotonic()
                    time.sleep(min(followed.pause(now) for followed in live.values()))
        except _INTERRUPTS:
            self._cancel([*(followed.job for followed in live.values()), *self._unseen(starting)])
            raise
        except GeneratorExit:
            # an interrupt that comes while Dagster stores an event is not raised here: the step is dropped
            if self.is_terminated():
                self._cancel([followed.job for followed in live.values()])
            raise
        if failed:
            raise self._failure(failed)

    @contextlib.contextmanager
    def _kept(self, failed: dict[str | None, Exception], partition: str | None) -> Iterator[None]:
        """What one partition fails of is kept, so that the others go on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised when the others have ended
            failed[partition] = error
            if len(self.partitions) > 1:
                self.log.error("%s failed: %s", partition, error)  # noqa: TRY400 - the trace stands in the job's log

    def _start(self, partition: str | None) -> FollowedJob:
        began = time.time()
        job = self._submit(partition)
        job.hold(self.holder)
        if job.status in (JobStatus.CANCELLING, JobStatus.CANCELLED):
            job = self._submit(partition)  # whoever held it before has cancelled it in the moment between
            job.hold(self.holder)
        label = "" if len(self.partitions) == 1 else f"{partition}: "
        self.log.info("%sjob %s; its output will stand at %s", label, job.id, job.location)
        return FollowedJob(
            job,
            label=label,
            log=self.log,
            now=time.monotonic(),
            log_interval=self.options.log_interval,
            poll_interval=self.options.poll_interval,
            prints=not job.status.is_terminal or (job.state().completed or began) >= began,
        )

    def _submit(self, partition: str | None) -> "Job":
        from gristmill.api import run_batch

        arguments = self.request.arguments(partition, self.partitions_def, self.settings, given=self.given(partition))
        return run_batch(
            **arguments,
            key=job_key(self.asset_key, partition),
            force_rerun=self.force_rerun,
            settings=self.settings,
        )

    def _finished(self, partition: str | None, job: "Job") -> Finished:
        from gristmill.jobs.outcome import outcome_of, parse_error_limit

        manifest = outcome_of(job, fail_on_errors=parse_error_limit(self.request.fail_on_errors))
        return Finished(partition, job, manifest)

    def _failure(self, failed: Mapping[str | None, Exception]) -> Exception:
        if len(self.partitions) == 1:
            (error,) = failed.values()
            if not isinstance(error, GristmillError):
                return error
            failure = as_failure(error)
        else:
            keyed = {str(partition): error for partition, error in failed.items()}
            failure = failure_of_partitions(keyed, done=len(self.partitions) - len(failed))
        failure.__cause__ = next(iter(failed.values()))
        return failure

    def _unseen(self, starting: "Sequence[str | None]") -> "Iterator[Job]":
        """The job that was being started when the interrupt came, where it has come to be."""
        from gristmill.api import get_job

        for partition in starting:
            with contextlib.suppress(Exception):  # no record of it can be read, so there is nothing to cancel
                job = get_job(self.request.job_name(job_key(self.asset_key, partition)), settings=self.settings)
                if job.record.holder() in (None, self.holder):
                    yield job

    def _cancel(self, jobs: "Sequence[Job]") -> None:
        for job in jobs:
            try:
                is_asked = job.cancel(holder=self.holder)
            except Exception as error:  # noqa: BLE001 - the others are cancelled all the same
                self.log.warning("job %s could not be cancelled, and may go on: %s", job.id, error)
                continue
            self.log.info("job %s %s", job.id, "is cancelled" if is_asked else "has ended, or another waits for it")
