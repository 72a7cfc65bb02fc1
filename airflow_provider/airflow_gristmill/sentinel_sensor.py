"""`SentinelSensor`: a task that waits for a location's `_SUCCESS`."""

import os
import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.sdk import BaseSensorOperator, PokeReturnValue, conf
from airflow.sdk.exceptions import AirflowFailException
from airflow.triggers.base import StartTriggerArgs

from airflow_gristmill.hook import GristmillHook
from airflow_gristmill.sentinel_trigger import SentinelSensorTrigger
from gristmill.errors import SpecError
from gristmill.outputs.condition import SentinelCondition
from gristmill.outputs.watch import SentinelWatch

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["SentinelSensor"]

_CONDITIONS = ("job_id", "newer_than", "min_rows", "max_error_rate")


class SentinelSensor(BaseSensorOperator):
    """Waits until a location's `_SUCCESS` is there and meets the conditions; returns the summary of its manifest.

    Without conditions its existence is enough, whatever tool wrote it; the result is then `{"location": ...}` unless
    it is a manifest. A `_SUCCESS` that is empty, another tool's or damaged meets no condition on job, rows or errors.

    A deferrable sensor waits in the triggerer. It starts there, without a worker, unless it has something that only
    workers do: `outlets`, whose asset events they register, `pre_execute`, `post_execute`, `on_execute_callback`, and
    to begin with values from XCom or macros of the DAG's own. A mapped sensor, or one of a derived class, starts on a
    worker. With `do_xcom_push=False` it ends in the triggerer, too; else a worker returns the summary. It looks every
    `poke_interval` seconds; `exponential_backoff` is for the other modes.

    Args:
        location: where the output stands: a stage, path or URL.
        job_id: only what this job wrote.
        newer_than: only what was finished after this moment: a datetime or ISO text, with a time zone.
        min_rows: only an output of at least so many rows.
        max_error_rate: only an output of which at most this share of rows failed, 0 to 1.
        gristmill_conn_id: the connection that gives stages and credentials.
        deferrable: wait in the triggerer; Airflow's `[operators] default_deferrable` unless given.
        **kwargs: of every sensor: `poke_interval`, `timeout`, `mode`, `soft_fail`, ...

    All but `deferrable` are templated; a template that renders `None` asks nothing.

    Raises:
        AirflowFailException: a value is wrong; while the DAG is parsed, where it is no template. It is not retried.

    Example:
        >>> wait = SentinelSensor(
        ...     task_id="scores_of_the_day",
        ...     location="s3://lake/scores/{{ ds }}",
        ...     newer_than="{{ data_interval_end }}",
        ...     max_error_rate=0.01,
        ... )
    """

    template_fields: Sequence[str] = ("location", *_CONDITIONS, "gristmill_conn_id")
    ui_color: ClassVar[str] = "#e8f0d8"

    # Of the class, these are for mapped tasks, which Airflow cannot start in the triggerer.
    start_trigger_args: StartTriggerArgs | None = None
    start_from_trigger: bool = False

    def __init__(
        self,
        *,
        location: str | os.PathLike[str],
        job_id: str | None = None,
        newer_than: datetime | str | None = None,
        min_rows: int | str | None = None,
        max_error_rate: float | str | None = None,
        gristmill_conn_id: str = GristmillHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.location = location
        self.job_id = job_id
        self.newer_than = newer_than
        self.min_rows = min_rows
        self.max_error_rate = max_error_rate
        self.gristmill_conn_id = gristmill_conn_id
        self.deferrable = deferrable
        self._watch: SentinelWatch | None = None
        self._condition(name for name in _CONDITIONS if not _is_rendered_later(getattr(self, name)))
        self._choose_start()

    def add_outlets(self, outlets: Iterable[Any]) -> None:
        """Outlets that `sensor > asset` adds."""
        super().add_outlets(outlets)
        self._choose_start()

    def poke(self, context: "Context") -> bool | PokeReturnValue:  # noqa: ARG002 - the signature that Airflow calls
        """Look once; a deferrable sensor that has to wait then defers."""
        from gristmill.outputs.sighting import sight
        from gristmill.storage.storage import Storage

        if self._watch is None:
            self._watch = SentinelWatch(self._condition(_CONDITIONS))
        try:
            storage = Storage(GristmillHook(self.gristmill_conn_id).settings())
            sighting = sight(storage, os.fspath(self.location), before=self._watch.sighting)
        except SpecError as error:
            self._refuse(error)
        self._watch = self._watch.after(sighting, now=time.monotonic())
        if self._watch.due is not None:
            self.log.info(self._watch.due)
        if self._watch.is_met:
            return PokeReturnValue(is_done=True, xcom_value=sighting.summary())
        if self.deferrable:
            self.defer(
                trigger=SentinelSensorTrigger(**self._trigger_kwargs()),
                method_name="execute_complete",
                timeout=timedelta(seconds=self.timeout),
            )
        return False

    def execute_complete(self, context: "Context", event: Any) -> dict[str, Any]:
        """What the triggerer saw.

        Raises:
            AirflowFailException: a value is wrong that came to be known there.
        """
        if isinstance(event, dict) and "refused" in event:
            raise AirflowFailException(event["refused"])
        if isinstance(event, dict) and "summary" in event:
            return dict(event["summary"])
        # `dag.test()` resumes a task that a triggerer would have ended, and hands on no more than its state
        seen = self.poke(context)
        return dict(seen.xcom_value) if isinstance(seen, PokeReturnValue) else {}

    def _condition(self, names: Iterable[str]) -> SentinelCondition:
        try:
            return SentinelCondition(**{name: getattr(self, name) for name in names})
        except SpecError as error:
            self._refuse(error)

    def _refuse(self, error: SpecError) -> NoReturn:
        raise AirflowFailException(f"{self.task_type} {self.task_id!r}: {error}") from error

    def _choose_start(self) -> None:
        if self.deferrable and self._can_do_without_worker() and self._can_be_rendered_in_triggerer():
            self.start_from_trigger = True
            self.start_trigger_args = StartTriggerArgs(
                trigger_cls=f"{SentinelSensorTrigger.__module__}.{SentinelSensorTrigger.__qualname__}",
                trigger_kwargs=self._trigger_kwargs(),
                next_method="execute_complete",
                timeout=timedelta(seconds=self.timeout),
            )
        else:
            self.start_from_trigger = False
            self.start_trigger_args = None

    def _can_do_without_worker(self) -> bool:
        hooks = (self._pre_execute_hook, self._post_execute_hook, self.on_execute_callback)
        # a derived class may look otherwise, or set its fields after these have been read
        return type(self) is SentinelSensor and not self.outlets and not any(hooks)

    def _can_be_rendered_in_triggerer(self) -> bool:
        """It has the DAG as the database keeps it, without functions, and knows no XCom of tasks to come."""
        values = [getattr(self, name) for name in self.template_fields]
        if not all(isinstance(value, str | int | float | datetime | os.PathLike | None) for value in values):
            return False
        if not any(_is_rendered_later(value) for value in values):
            return True
        dag = self.get_dag()
        return dag is not None and not dag.user_defined_macros and not dag.user_defined_filters

    def _trigger_kwargs(self) -> dict[str, Any]:
        # under the names of the template fields, by which Airflow finds what to render
        given = {name: _plain(getattr(self, name)) for name in self.template_fields}
        return {
            **given,
            "poke_interval": self.poke_interval,
            # Airflow 3.3 hands tasks what a triggerer has pushed as JSON text instead of the value
            "ends_task": self._can_do_without_worker() and not self.do_xcom_push,
            "silent_fail": self.silent_fail,
        }


def _is_rendered_later(value: Any) -> bool:
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    return not isinstance(value, int | float | datetime | os.PathLike | None)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return os.fspath(value) if isinstance(value, os.PathLike) else value
