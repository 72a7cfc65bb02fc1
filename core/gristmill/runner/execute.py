"""Running one job: from its record to `_SUCCESS`."""

import contextlib
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import pyarrow as pa

from gristmill.errors import ConflictError, GristmillError
from gristmill.executors.protocol import Executor
from gristmill.jobs.judgement import is_live
from gristmill.jobs.record import JobRecord, RunRecord, State
from gristmill.outputs.claim import OutputClaim, claim_location
from gristmill.outputs.commit import Commit, CommitLog
from gristmill.outputs.manifest import ManifestHeader
from gristmill.outputs.progress import ShardProgress
from gristmill.outputs.publish import publish
from gristmill.outputs.schema import output_schema
from gristmill.plan.shards import Shard
from gristmill.plan.store import read_plan
from gristmill.runner.coordinator import Coordinator, Hooks, Live
from gristmill.runner.heartbeat import CANCELLED, SUPERSEDED, Heartbeat
from gristmill.runner.logs import LogWriter
from gristmill.runner.queue import TaskQueue
from gristmill.runner.tally import ErrorPolicy, Tally
from gristmill.runner.workplace import make_executor, worker_spec
from gristmill.spec.enums import JobStatus
from gristmill.spec.request import JobRequest
from gristmill.spec.schema_text import schema_from_text, schema_to_text
from gristmill.storage.location import join
from gristmill.storage.storage import Storage

__all__ = ["execute"]

_LAST_PAUSES = (0.1, 1.0, 5.0, 10.0)
"""Seconds between attempts to write the final state."""


def execute(storage: Storage, record: JobRecord, run: RunRecord) -> State:
    """Run a job to its end, writing its state; does not raise for what goes wrong with the job.

    Args:
        storage: with the runner's settings.
        record: the job.
        run: the run that was claimed for this process.

    Returns:
        The terminal state, as recorded.
    """
    started = time.time()
    logs = LogWriter(storage, run.logs)
    state = State(JobStatus.RUNNING, "starting", started)
    run.write_state(state)
    try:
        status, message = _Execution(storage, record, run, logs, started).run()
    except GristmillError as error:
        status, message = JobStatus.FAILED, f"{error}"
        logs.note(f"failed: {type(error).__name__}: {error}")
    except Exception as error:  # noqa: BLE001 - the record must tell how the run ended, whatever it was
        logs.write("runner", traceback.format_exc())
        status, message = JobStatus.INTERNAL_ERROR, f"{type(error).__name__}: {error}"
    state = State(status, message, started, time.time())
    _insist(lambda: run.write_state(state))
    logs.note(f"{status.value}: {message}")
    with contextlib.suppress(OSError):
        logs.flush()
    return state


def _insist(write: Callable[[], None]) -> None:
    """Try for a while: how a run ended is the last thing that should be lost."""
    for pause in _LAST_PAUSES:
        try:
            write()
        except OSError:
            time.sleep(pause)
        else:
            return
    write()


class _Execution:
    def __init__(self, storage: Storage, record: JobRecord, run: RunRecord, logs: LogWriter, started: float) -> None:
        self.storage = storage
        self.record = record
        self.run_record = run
        self.logs = logs
        self.started = started
        self.began = time.monotonic()
        self.request: JobRequest = record.request()
        self.how = run.claim().how
        self.policy = ErrorPolicy(
            self.how.job_spec.on_error, self.how.job_spec.max_errors, self.how.job_spec.max_error_rate
        )
        self.commits = CommitLog(storage, self.request.staging, generation=run.generation)
        self.progress = ShardProgress(self.request.shards)
        self.live = Live()
        self.outputs = self._known_outputs()

    def run(self) -> tuple[JobStatus, str]:
        """Claim the location, do what is left, publish."""
        if self.record.is_superseded(self.run_record.generation):
            return JobStatus.CANCELLED, SUPERSEDED
        executor = make_executor(self.storage.settings.pool(self.how.pool), self.how.job_spec, self.request)
        spec = worker_spec(self.record.id, self.request, self.how, self.storage.settings, self.policy)
        try:
            # before anything else: workers load their model meanwhile, and are forked while there are no threads
            executor.start(spec, workers=self.how.job_spec.replicas * self.how.job_spec.num_workers)
            return self._claim_and_work(executor)
        finally:
            executor.close()

    def _claim_and_work(self, executor: Executor) -> tuple[JobStatus, str]:
        claim = claim_location(
            self.storage,
            self.request.location,
            job=self.record.id,
            generation=self.run_record.generation,
            home=self.record.home,
            is_live=lambda entry: is_live(self.storage, entry),
        )
        if claim.published is not None:
            return JobStatus.DONE, _done(claim.published.rows, claim.published.errors)
        try:
            return self._work(claim, executor)
        finally:
            claim.release()

    def _work(self, claim: OutputClaim, executor: Executor) -> tuple[JobStatus, str]:
        tally = Tally(self.policy, self.request.rows)
        for commit in self.commits.load(self.progress, with_errors=self._failures_stand()):
            tally.add(rows=commit.rows, errors=commit.errors, shard=commit.shard)
            for name, value in commit.metrics.items():
                self.live.metrics[name] = self.live.metrics.get(name, 0) + value
        self.live.shards = self.progress.completed
        if tally.rows:
            self.logs.note(f"resuming: {tally.rows:,} rows of {self.progress.completed:,} shards are committed")
        heartbeat = Heartbeat(
            self.record, self.run_record, tally=tally, live=self.live, logs=self.logs,
            shards_total=self.request.shards, dashboard=lambda: executor.dashboard, began=self.began,
        )  # fmt: skip
        hooks = Hooks(
            commit=self._commit,
            agree=self._agree,
            stop_reason=heartbeat.stop_reason,
            log=lambda worker, text: self.logs.write(f"worker-{worker}", text),
        )
        coordinator = Coordinator(
            executor,
            TaskQueue(self._left(), count=self.request.shards - self.progress.completed),
            tally,
            hooks,
            live=self.live,
            outputs=self.outputs,
        )
        heartbeat.start()
        try:
            self.run_record.write_state(State(JobStatus.RUNNING, "running", self.started))
            try:
                problem = coordinator.run(workers=self.how.job_spec.replicas * self.how.job_spec.num_workers)
            finally:
                executor.close()
                self.live.rest()
            if problem == CANCELLED:
                return JobStatus.CANCELLED, "cancelled; run the job again to resume it"
            if problem is not None:
                return JobStatus.FAILED, problem
            return self._publish(claim)
        finally:
            heartbeat.close()

    def _failures_stand(self) -> bool:
        """Whether rows that failed in earlier runs stay as they are, or are done again.

        They are done again where they would fail this run from the start: somebody has mended them, or hopes so.
        """
        if not self.policy.records:
            return False
        earlier = Tally(self.policy, self.request.rows)
        for commit in self.commits.load(ShardProgress(self.request.shards)):
            earlier.add(rows=commit.rows, errors=commit.errors, shard=commit.shard)
        return earlier.stop_reason() is None

    def _left(self) -> Iterator[tuple[Shard, int, int | None]]:
        for shard in read_plan(self.storage, join(self.request.staging, "plan.parquet")):
            for start, stop in self.progress.uncovered(shard.index):
                yield shard, start, stop

    def _commit(self, commits: Sequence[Commit]) -> None:
        self.commits.append(commits)

    @property
    def _outputs_file(self) -> str:
        return join(self.request.staging, "outputs.schema")

    def _known_outputs(self) -> pa.Schema | None:
        if self.request.outputs_schema is not None:
            return schema_from_text(self.request.outputs_schema)
        try:
            return schema_from_text(self.storage.read_bytes(self._outputs_file).decode())
        except FileNotFoundError:
            return None

    def _agree(self, proposed: pa.Schema) -> pa.Schema:
        """Fix the output columns for this run and every later one."""
        output_schema(schema_from_text(self.request.input_schema), proposed, record_errors=self.policy.records)
        try:
            self.storage.write_bytes(self._outputs_file, schema_to_text(proposed).encode(), exclusive=True)
        except FileExistsError:
            agreed = self._known_outputs()  # another run of this job was first
            proposed = proposed if agreed is None else agreed
        self.outputs = proposed
        return proposed

    def _publish(self, claim: OutputClaim) -> tuple[JobStatus, str]:
        if self.record.is_superseded(self.run_record.generation):
            raise ConflictError(SUPERSEDED)
        self.run_record.write_state(State(JobStatus.RUNNING, "publishing", self.started))
        outputs = pa.schema([]) if self.outputs is None else self.outputs
        schema = output_schema(schema_from_text(self.request.input_schema), outputs, record_errors=self.policy.records)
        is_known = self.outputs is not None or self.live.shards == 0
        manifest = publish(
            self.storage,
            self.request.location,
            claim,
            self.commits.in_order(self.request.shards),
            shards=self.request.shards,
            staging=self.request.staging,
            mode=self.how.mode,
            schema=schema if is_known else None,  # else what the parts agree upon
            header=ManifestHeader(
                job=self.record.id,
                name=self.request.name,
                key=self.request.key,
                fingerprint=self.request.fingerprint,
                model=self.request.model,
                function=self.request.function,
                created=datetime.fromtimestamp(self.request.created, UTC),
                started=datetime.fromtimestamp(self.started, UTC),
            ),
        )
        return JobStatus.DONE, _done(manifest.rows, manifest.errors)


def _done(rows: int, errors: int) -> str:
    return f"{rows:,} rows" + (f", {errors:,} of them with errors" if errors else "")
