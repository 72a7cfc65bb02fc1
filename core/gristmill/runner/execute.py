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
from gristmill.outputs.manifest import Manifest, ManifestHeader
from gristmill.outputs.progress import ShardProgress
from gristmill.outputs.publish import publish
from gristmill.outputs.schema import output_schema
from gristmill.partitions.memory import most_partition_bytes
from gristmill.partitions.rule import kept_columns, partitioning_of
from gristmill.plan.shards import Shard
from gristmill.plan.store import read_plan
from gristmill.runner.coordinator import Coordinator, Hooks, Live
from gristmill.runner.heartbeat import CANCELLED, SUPERSEDED, Heartbeat
from gristmill.runner.logs import LogWriter
from gristmill.runner.plan import RunPlan, StoppedError, group_rows, known_plan
from gristmill.runner.queue import TaskQueue
from gristmill.runner.tally import ErrorPolicy, Tally
from gristmill.runner.workplace import make_executor, worker_spec
from gristmill.spec.enums import JobStatus
from gristmill.spec.request import JobRequest
from gristmill.spec.schema_text import schema_from_text, schema_to_text
from gristmill.storage.location import join
from gristmill.storage.storage import Storage
from gristmill.wording.text import count, duration

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
    logs.note(f"{status.value}: {message}")
    with contextlib.suppress(Exception):  # whatever the storage's client raises: the state is what counts
        logs.flush()
    state = State(status, message, started, time.time())
    _insist(lambda: run.write_state(state))  # the last thing that is written: whoever sees the end sees all of the log
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
        self.partitioning = partitioning_of(self.request)
        self.plan = known_plan(storage, self.request)
        self.progress = ShardProgress(0)
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
            return JobStatus.DONE, _done(claim.published)
        try:
            plan = self.plan or self._grouped(executor)
            self.progress = ShardProgress(plan.shards)
            return self._work(claim, executor, plan)
        except StoppedError as stopped:
            return _stopped(str(stopped))
        finally:
            claim.release()

    def _grouped(self, executor: Executor) -> RunPlan:
        """Group the rows into partitions, while the workers load their model."""
        self.run_record.write_state(State(JobStatus.RUNNING, "grouping the rows into partitions", self.started))
        heartbeat = Heartbeat(
            self.record, self.run_record, tally=Tally(self.policy, self.request.rows), live=Live(), logs=self.logs,
            shards_total=self.request.shards, dashboard=lambda: executor.dashboard, began=self.began,
        )  # fmt: skip
        how = self.how.job_spec
        began = time.monotonic()
        heartbeat.start()
        try:
            plan = group_rows(
                self.storage,
                self.request,
                generation=self.run_record.generation,
                parallelism=how.replicas * how.num_workers,
                most_bytes=most_partition_bytes(self.storage.settings, how),
                stop_reason=heartbeat.stop_reason,
            )
        except OSError as error:
            told = f"{type(error).__name__}: {error}"
            raise StoppedError(f"the rows could not be grouped into partitions: {told}; run the job again") from error
        finally:
            heartbeat.close()
        took = duration(time.monotonic() - began)
        self.logs.note(f"grouped into {count(plan.partitions or 0, 'partition')} of {plan.shards:,} shards in {took}")
        return plan

    def _tally(self, plan: RunPlan) -> Tally:
        if self.partitioning is None or not self.partitioning.reduces:
            return Tally(self.policy, plan.rows)
        return Tally(self.policy, plan.rows, noun="partition", tried_total=plan.partitions)

    def _work(self, claim: OutputClaim, executor: Executor, plan: RunPlan) -> tuple[JobStatus, str]:
        tally = self._tally(plan)
        for commit in self.commits.load(self.progress, with_errors=self._failures_stand(plan)):
            _count(tally, commit)
            for name, value in commit.metrics.items():
                self.live.metrics[name] = self.live.metrics.get(name, 0) + value
        self.live.shards = self.progress.completed
        if tally.rows:
            self.logs.note(f"resuming: {tally.rows:,} rows of {self.progress.completed:,} shards are committed")
        heartbeat = Heartbeat(
            self.record, self.run_record, tally=tally, live=self.live, logs=self.logs,
            shards_total=plan.shards, dashboard=lambda: executor.dashboard, began=self.began,
        )  # fmt: skip
        hooks = Hooks(
            commit=self._commit,
            agree=self._agree,
            stop_reason=heartbeat.stop_reason,
            log=lambda worker, text: self.logs.write(f"worker-{worker}", text),
        )
        coordinator = Coordinator(
            executor,
            TaskQueue(self._left(plan), count=plan.shards - self.progress.completed),
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
            if problem is not None:
                return _stopped(problem)
            return self._publish(claim, plan)
        finally:
            heartbeat.close()

    def _failures_stand(self, plan: RunPlan) -> bool:
        """Whether rows that failed in earlier runs stay as they are, or are done again.

        They are done again where they would fail this run from the start: somebody has mended them, or hopes so.
        """
        if not self.policy.records:
            return False
        earlier = self._tally(plan)
        for commit in self.commits.load(ShardProgress(plan.shards)):
            _count(earlier, commit)
        return earlier.stop_reason() is None

    def _left(self, plan: RunPlan) -> Iterator[tuple[Shard, int, int | None]]:
        for shard in read_plan(self.storage, plan.location):
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
        output_schema(self._kept(), proposed, record_errors=self.policy.records)
        try:
            self.storage.write_bytes(self._outputs_file, schema_to_text(proposed).encode(), exclusive=True)
        except FileExistsError:
            agreed = self._known_outputs()  # another run of this job was first
            proposed = proposed if agreed is None else agreed
        self.outputs = proposed
        return proposed

    def _kept(self) -> pa.Schema:
        """The columns of the input that stand in the output."""
        return kept_columns(schema_from_text(self.request.input_schema), self.partitioning)

    def _publish(self, claim: OutputClaim, plan: RunPlan) -> tuple[JobStatus, str]:
        if self.record.is_superseded(self.run_record.generation):
            raise ConflictError(SUPERSEDED)
        self.run_record.write_state(State(JobStatus.RUNNING, "publishing", self.started))
        outputs = pa.schema([]) if self.outputs is None else self.outputs
        schema = output_schema(self._kept(), outputs, record_errors=self.policy.records)
        is_known = self.outputs is not None or self.live.shards == 0
        manifest = publish(
            self.storage,
            self.request.location,
            claim,
            self.commits.in_order(plan.shards),
            shards=plan.shards,
            staging=self.request.staging,
            mode=self.how.mode,
            schema=schema if is_known else None,  # else what the parts agree upon
            header=ManifestHeader(
                job=self.record.id,
                name=self.request.name,
                key=self.request.key,
                fingerprint=self.request.fingerprint,
                model=self.request.model,
                model_digest=self.request.model_digest,
                function=self.request.function,
                created=datetime.fromtimestamp(self.request.created, UTC),
                started=datetime.fromtimestamp(self.started, UTC),
            ),
        )
        return JobStatus.DONE, _done(manifest)


def _stopped(reason: str) -> tuple[JobStatus, str]:
    if reason == CANCELLED:
        return JobStatus.CANCELLED, "cancelled; run the job again to resume it"
    return JobStatus.FAILED, reason


def _count(tally: Tally, commit: Commit) -> None:
    tried = None if commit.written is None else commit.partitions
    tally.add(rows=commit.rows, errors=commit.errors, shard=commit.shard, tried=tried)


def _done(manifest: Manifest) -> str:
    told = f"{manifest.rows:,} rows"
    if manifest.partitions:
        of = "" if manifest.input_rows == manifest.rows else f" from {count(manifest.input_rows or 0, 'row')}"
        told += f"{of} in {count(manifest.partitions, 'partition')}"
    return told + (f", {manifest.errors:,} of them with errors" if manifest.errors else "")
