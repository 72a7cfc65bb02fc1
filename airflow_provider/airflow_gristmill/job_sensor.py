"""`BatchJobSensor`: waits for a job that something else has started."""

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseSensorOperator, PokeReturnValue, conf

from airflow_gristmill.failures import no_retry_in_vain
from airflow_gristmill.hook import GristmillHook
from airflow_gristmill.job_trigger import BatchJobTrigger
from gristmill.errors import JobNotFoundError, SpecError
from gristmill.jobs.watch import Watch, observe

if TYPE_CHECKING:
    from airflow.sdk import Context

    from gristmill.jobs.handle import Job

__all__ = ["BatchJobSensor"]


class BatchJobSensor(BaseSensorOperator):
    """Succeeds when a job is done, and fails when it has ended otherwise; returns the summary of its manifest.

    A job that does not exist yet is waited for.

    Args:
        job_id: the job's id or name, such as `"{{ ti.xcom_pull('score')['job'] }}"`.
        fail_on_errors: fail when more rows than this have failed: True for any, a number, or a share below 1.
        deferrable: wait in the triggerer.
        gristmill_conn_id: the connection that gives the settings.
        kwargs: of Airflow's sensors: `poke_interval`, `timeout`, `mode`, `soft_fail`, ...

    Example:
        >>> wait = BatchJobSensor(task_id="wait", job_id="nightly-scores", mode="reschedule")
        >>> wait.job_id
        'nightly-scores'
    """

    template_fields = ("job_id", "fail_on_errors", "gristmill_conn_id")
    ui_color: ClassVar[str] = "#e8d9b5"

    def __init__(
        self,
        *,
        job_id: str,
        fail_on_errors: bool | float | str | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        gristmill_conn_id: str = GristmillHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_id = job_id
        self.fail_on_errors = fail_on_errors
        self.deferrable = deferrable
        self.gristmill_conn_id = gristmill_conn_id
        self._watch: Watch | None = None

    def poke(self, context: "Context") -> PokeReturnValue:  # noqa: ARG002 - Airflow's signature
        """Look once; a deferrable sensor that has to wait then defers.

        Raises:
            JobFailedError: the job has ended, and not well.
            AirflowFailException: more rows have failed than `fail_on_errors` takes, or an argument is wrong.
        """
        found = self._look()
        if not found and self.deferrable:
            trigger = BatchJobTrigger(
                self.job_id, gristmill_conn_id=self.gristmill_conn_id, poll_interval=self.poke_interval, may_come=True
            )
            self.defer(trigger=trigger, method_name="execute_complete", timeout=timedelta(seconds=self.timeout))
        return found

    def _look(self) -> PokeReturnValue:
        try:
            job = self._job(self.job_id)
        except JobNotFoundError as error:
            self.log.info("%s", error)
            return PokeReturnValue(is_done=False)
        now = time.monotonic()
        self._watch = watch = observe(self._watch or Watch(began=now), job, now=now)
        if watch.due is not None:
            self.log.info("%s", watch.due)
        return PokeReturnValue(watch.has_ended, self._summary(job) if watch.has_ended else None)

    def execute_complete(self, context: "Context", event: dict[str, Any]) -> Any:  # noqa: ARG002 - Airflow's signature
        """Back from the triggerer: what the job's end means. By its id, for its name may be another job's by now."""
        return self._summary(self._job(event["job"]))

    def _job(self, id_or_name: str | None) -> "Job":
        from gristmill.api import get_job

        with no_retry_in_vain():
            if not id_or_name or id_or_name == "None":  # as a template renders what is not there
                raise SpecError(f"job_id: give the id or the name of a job (given: {id_or_name!r})")
            return get_job(id_or_name, settings=GristmillHook(self.gristmill_conn_id).settings())

    def _summary(self, job: "Job") -> dict[str, Any]:
        from gristmill.jobs.outcome import outcome_of, parse_error_limit

        with no_retry_in_vain():
            return outcome_of(job, fail_on_errors=parse_error_limit(self.fail_on_errors)).summary(job.location)
