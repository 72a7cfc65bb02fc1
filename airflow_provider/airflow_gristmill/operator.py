"""`RunBatchOperator`: a model over a dataset, as one task."""

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator, conf
from airflow.sdk.exceptions import TaskDeferralTimeout

from airflow_gristmill.failures import no_retry_in_vain
from airflow_gristmill.given import GivenObject, as_reference
from airflow_gristmill.hook import GristmillHook
from airflow_gristmill.job_trigger import BatchJobTrigger
from airflow_gristmill.links import OutputLink, RayDashboardLink
from airflow_gristmill.memory import Left, recall, remember
from airflow_gristmill.outlets import record_outlets
from airflow_gristmill.partition import job_key, partition_of, path_of, rerun_wish
from gristmill.declared import (
    INPUTS,
    as_fields,
    as_location,
    check_fields,
    check_inputs,
    check_seconds,
    digest,
    input_arguments,
    read_flag,
    spec_arguments,
)
from gristmill.errors import GristmillError, JobNotFoundError, SpecError
from gristmill.jobs.status import may_attach
from gristmill.jobs.watch import Watch, observe
from gristmill.spec.enums import JobStatus
from gristmill.wording.text import count

if TYPE_CHECKING:
    import jinja2
    from airflow.sdk import Context

    from gristmill.jobs.handle import Job
    from gristmill.outputs.manifest import Manifest
    from gristmill.settings import Settings
    from gristmill.spec.input import InputSpec
    from gristmill.spec.job import JobSpec
    from gristmill.spec.output import OutputSpec

__all__ = ["RunBatchOperator"]


class RunBatchOperator(BaseOperator):
    """Runs a model over a dataset as one job: Parquet and `_SUCCESS` at the output location, when all of it is there.

    A task and its partition are one job, whatever the try: a retry attaches to the live job, takes the finished one, or
    resumes what a failed one has not committed. Clearing a finished task runs it again when the request has changed, or
    with `force_rerun`. The task returns the summary of the manifest (`location`, `job`, `rows`, `errors`, `tokens`,
    ...) and no rows.

    All texts are templates, those in dicts too. Besides Airflow's variables there is `{{ partition }}`: the run's
    partition key, else the start of its data interval (`2026-01-01` for whole days), else its run id.

    Args:
        model: a reference such as `python:package.module:Class`, `hf:org/name`, or an object; see
            `gristmill.run_batch`.
        output_spec: where the results go: `OutputSpec(...)`, or a dict of its fields.
        input_location: files or a glob of Parquet, CSV, JSONL or Arrow.
        query: SQL over files, or the name of a `.sql` file beside the DAG.
        input_files: files as rows of one column: a location, or `{"location": ..., "pattern": ...,
            "column_name": ...}`.
        input_format: the format of the files at `input_location`, where their names do not tell.
        input_spec: params and file columns: `InputSpec(...)`, or a dict.
        job_spec: replicas, resources, what to do with failing rows: `JobSpec(...)`, or a dict.
        inference_engine_options: `{"engine": ..., "engine_args_override": [...]}` and the engine's own options.
        compute_pool: the pool of the settings in which the job runs; Airflow's own `pool` is for the task's slots.
        partition: what the run is about, instead of what `{{ partition }}` says.
        force_rerun: run again though the same job is done; once for each time that the task is cleared.
        fail_on_errors: fail when more rows than this have failed: True for any, a number, or a share below 1. It
            matters with `on_error="record"`; the output stands all the same.
        cancel_on_kill: cancel the job when the task is marked failed or succeeded, is cleared while it runs, or times
            out.
        deferrable: wait in the triggerer, without a worker's slot.
        poll_interval: seconds between two looks at the job at most; the first ones come sooner.
        log_interval: seconds between lines of progress in the task's log.
        gristmill_conn_id: the connection that gives the settings.
        kwargs: of all operators. `execution_timeout` bounds the whole try, deferred or not.

    Example:
        >>> score = RunBatchOperator(
        ...     task_id="score",
        ...     model="python:shop.models:Prices",
        ...     input_location="s3://lake/orders/{{ partition }}",
        ...     output_spec={"location": "s3://lake/scores/{{ partition }}", "mode": "overwrite"},
        ... )
        >>> score.output_spec["mode"]
        'overwrite'
    """

    template_fields: Sequence[str] = (
        "model", "output_spec", "input_location", "query", "input_files", "input_format", "input_spec", "job_spec",
        "inference_engine_options", "compute_pool", "partition", "force_rerun", "fail_on_errors", "gristmill_conn_id",
    )  # fmt: skip
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "query": "sql",
        **dict.fromkeys(("output_spec", "input_spec", "job_spec", "inference_engine_options", "input_files"), "json"),
    }
    template_ext: Sequence[str] = (".sql",)
    operator_extra_links = (OutputLink(), RayDashboardLink())
    ui_color: ClassVar[str] = "#e8d9b5"

    def __init__(
        self,
        *,
        model: Any,
        output_spec: "OutputSpec | Mapping[str, Any]",
        input_location: str | os.PathLike[str] | None = None,
        query: str | None = None,
        input_files: str | os.PathLike[str] | Mapping[str, Any] | None = None,
        input_format: str | None = None,
        input_spec: "InputSpec | Mapping[str, Any] | None" = None,
        job_spec: "JobSpec | Mapping[str, Any] | None" = None,
        inference_engine_options: Mapping[str, Any] | None = None,
        compute_pool: str | None = None,
        partition: str | None = None,
        force_rerun: bool | str = False,
        fail_on_errors: bool | float | str | None = None,
        cancel_on_kill: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float = 30.0,
        log_interval: float = 60.0,
        gristmill_conn_id: str = GristmillHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = as_reference(model)
        self.output_spec = as_fields(output_spec)
        self.input_location = as_location(input_location)
        self.query = query
        self.input_files = as_location(input_files)
        self.input_format = input_format
        self.input_spec = as_fields(input_spec)
        self.job_spec = as_fields(job_spec)
        self.inference_engine_options = inference_engine_options
        self.compute_pool = compute_pool
        self.partition = partition
        self.force_rerun = force_rerun
        self.fail_on_errors = fail_on_errors
        self.cancel_on_kill = cancel_on_kill
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.log_interval = log_interval
        self.gristmill_conn_id = gristmill_conn_id
        for name in ("output_spec", "input_spec", "job_spec", "input_files"):
            check_fields(name, getattr(self, name))
        for name in ("poll_interval", "log_interval"):
            check_seconds(name, getattr(self, name))
        self._check_input()
        self._hook: GristmillHook | None = None
        self._job: Job | None = None
        self._holder: str | None = None
        self._manifest: Manifest | None = None
        self._is_killed = False
        self._about: str | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """As Airflow's, which copies tasks; the model stays the same one, for it may hold what cannot be copied."""
        if isinstance(self.model, GivenObject):
            memo[id(self.model.value)] = self.model.value
        return super().__deepcopy__(memo)

    def _check_input(self) -> None:
        check_inputs(self._given())

    def _given(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in INPUTS}

    def render_template(
        self,
        content: Any,
        context: "Context",
        jinja_env: "jinja2.Environment | None" = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """As Airflow's, with `{{ partition }}` added to what templates know."""
        if "partition" not in context:
            context = {**context, "partition": path_of(self._partition(context))}
        return super().render_template(content, context, jinja_env, seen_oids)

    def _partition(self, context: "Context") -> str:
        if self.partition is None:
            return partition_of(context)
        if self._about is None:
            found = partition_of(context)
            own: Any = {**context, "partition": path_of(found)}
            given = super().render_template(self.partition, own)
            # kept, since what came out of a template may look like one, and would be rendered again
            self._about = found if given is None or given == "" else str(given)
        return self._about

    def execute(self, context: "Context") -> Any:
        """Start the job, or attach to it; then wait here, or in the triggerer.

        Raises:
            AirflowFailException: the request cannot be right, or too many rows have failed; trying again is in vain.
            JobFailedError: the job did not end well.
        """
        self._holder = str(context["ti"].id)
        with no_retry_in_vain():
            job = self._earlier_job(context) or self._submit(context)
            job.hold(self._holder)
            if job.status in (JobStatus.CANCELLING, JobStatus.CANCELLED) and not self._is_killed:
                job = self._submit(context)  # whoever held it before has cancelled it in the moment between
                job.hold(self._holder)
        self._job = job
        if self._is_killed:
            self.on_kill()
        return self._wait(context, job)

    def execute_complete(self, context: "Context", event: Mapping[str, Any]) -> Any:
        """Back from the triggerer: what the job's end means, unless somebody has resumed the job meanwhile."""
        self._holder = str(context["ti"].id)
        self._job = job = self._find(event["job"])
        return self._finish(context, job) if job.status.is_terminal else self._wait(context, job)

    def _wait(self, context: "Context", job: "Job") -> Any:
        if self.deferrable and not job.status.is_terminal and not self._runs_here(job):
            trigger = BatchJobTrigger(
                job.id,
                gristmill_conn_id=self.gristmill_conn_id,
                poll_interval=self.poll_interval,
                log_interval=self.log_interval,
                cancel_on_kill=self.cancel_on_kill,
                holder=self._holder,
            )
            self.defer(trigger=trigger, method_name="execute_complete", timeout=self._time_left(context))
        self._follow(job)
        return self._finish(context, job)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: "Context") -> Any:
        """As Airflow's; a task that has timed out while it was deferred cancels its job first."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            self._holder = str(context["ti"].id)
            if (left := recall(context)) is not None:
                with contextlib.suppress(JobNotFoundError):
                    self._job = self._find(left.job)
            self.on_kill()
            raise

    def on_kill(self) -> None:
        """The task ends before its job: cancel the job too, unless `cancel_on_kill` is off."""
        self._is_killed = True
        if self.cancel_on_kill and self._job is not None:
            is_asked = self._job.cancel(holder=self._holder)
            self.log.info(
                "Job %s %s", self._job.id, "is cancelled" if is_asked else "has ended, or another waits for it"
            )

    @property
    def output_location(self) -> str | None:
        """Where the job's output stands, or will; None before there is a job."""
        return None if self._job is None else self._job.location

    @property
    def dashboard_url(self) -> str | None:
        """Where the Ray cluster that runs the job shows it; None where there is none."""
        if self._job is None:
            return None
        try:
            return self._job.get_ray_dashboard_url()
        except GristmillError:
            return None

    def get_openlineage_facets_on_start(self) -> Any:
        """What the task is about to read and write, for OpenLineage."""
        from airflow_gristmill.lineage import lineage_of_request

        output = self.output_spec if isinstance(self.output_spec, Mapping) else {}
        return lineage_of_request(
            input_location=self.input_location,
            query=self.query,
            input_files=self.input_files,
            output_location=as_location(output.get("location", output.get("stage_location"))),
        )

    def get_openlineage_facets_on_complete(self, ti: Any) -> Any:  # noqa: ARG002 - Airflow's signature
        """What the job has read and written, with schemas and counts."""
        if self._job is None:
            return self.get_openlineage_facets_on_start()
        from airflow_gristmill.lineage import lineage_of_job

        return lineage_of_job(self._job, self._manifest)

    def _settings(self) -> "Settings":
        """Of the connection, which is read once for all that this process does."""
        if self._hook is None:
            self._hook = GristmillHook(self.gristmill_conn_id)
        return self._hook.settings()

    def _find(self, job_id: str) -> "Job":
        from gristmill.api import get_job

        job = get_job(job_id, settings=self._settings())
        _ = job.request  # read while this process can: lineage is made in a fork of it
        return job

    def _submit(self, context: "Context") -> "Job":
        from gristmill.api import run_batch
        from gristmill.jobs.outcome import parse_error_limit

        settings = self._settings()
        parse_error_limit(self.fail_on_errors)
        ti = context["ti"]
        key = job_key(
            dag_id=ti.dag_id,
            task_id=ti.task_id,
            partition=self._partition(context),
            map_index=-1 if ti.map_index is None else ti.map_index,
        )
        wish = self._wish(context) if read_flag("force_rerun", self.force_rerun) else False
        if isinstance(self.model, str) and not self.model.strip():
            raise SpecError("model: is empty; give a reference such as 'python:package.module:Class'")
        job = run_batch(
            self.model.value if isinstance(self.model, GivenObject) else self.model,
            **self._input(context, settings),
            **spec_arguments({name: getattr(self, name) for name in ("output_spec", "input_spec", "job_spec")}),
            input_format=self.input_format,
            inference_engine_options=self.inference_engine_options,
            compute_pool=self.compute_pool,
            key=key,
            force_rerun=wish,
            settings=settings,
        )
        self.log.info("Job %s; its output will stand at %s", job.id, job.location)
        remember(context, Left(job.id, self._wish(context), self._digest(), settings.home))
        return job

    def _input(self, context: "Context", settings: "Settings") -> dict[str, Any]:  # noqa: ARG002 - for the decorator
        return input_arguments(self._given(), settings)

    def _follow(self, job: "Job") -> None:
        watch = Watch(began=time.monotonic(), say_every=self.log_interval, longest_pause=self.poll_interval)
        while True:
            watch = observe(watch, job, now=time.monotonic())
            if watch.due is not None:
                self.log.info("%s", watch.due)
            if watch.has_ended:
                return
            time.sleep(watch.pause(time.monotonic()))

    def _finish(self, context: "Context", job: "Job") -> dict[str, Any]:
        from gristmill.jobs.outcome import outcome_of, parse_error_limit

        with no_retry_in_vain():
            self._manifest = outcome_of(job, fail_on_errors=parse_error_limit(self.fail_on_errors))
        summary = self._manifest.summary(job.location)
        record_outlets(self.outlets, context["outlet_events"], summary)
        self.log.info(
            "Job %s is done: %s, %s, at %s",
            job.id,
            count(summary["rows"], "row"),
            count(summary["errors"], "error"),
            job.location,
        )
        return summary

    def _runs_here(self, job: "Job") -> bool:
        """Whether the job runs in this process and so ends with it."""
        return self._settings().pool(job.compute_pool).kind == "inline"

    def _time_left(self, context: "Context") -> timedelta | None:
        """What is left of `execution_timeout`, which Airflow applies to running tasks only."""
        if self.execution_timeout is None:
            return None
        started = context["ti"].start_date or datetime.now(UTC)
        return max(self.execution_timeout - (datetime.now(UTC) - started), timedelta(seconds=1))

    def _wish(self, context: "Context") -> str:
        ti = context["ti"]
        return rerun_wish(run_id=ti.run_id, max_tries=ti.max_tries)

    def _earlier_job(self, context: "Context") -> "Job | None":
        """The job that an earlier try of this very request has started, if it lives or is done."""
        left = recall(context)
        if left is None or (left.wish, left.request) != (self._wish(context), self._digest()):
            return None
        left.check_home(self._settings().home, connection=self.gristmill_conn_id)
        try:
            job = self._find(left.job)
        except JobNotFoundError:
            return None
        if not may_attach(job.status, output_stands=job.output_stands):
            return None
        self.log.info("Attached to job %s, which an earlier try has started", job.id)
        return job

    def _digest(self) -> str:
        return digest({name: getattr(self, name) for name in self.template_fields})
