"""One job, whose request is the run's configuration: in both modes, and with what makes the modes differ."""

import time
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param

from airflow_gristmill import RunBatchOperator

REQUEST = {
    "input": Param("", type="string"),
    "output": Param("", type="string"),
    "model": Param("echo:", type="string"),
    "echo": Param({"column": "id"}, type=["object", "null"]),
    "job": Param({}, type="object"),
    "mode": Param("error", type="string"),
    "force": Param("", type="string"),
    "limit": Param("", type="string"),
    "connection": Param("gristmill_default", type="string"),
}

ARGUMENTS: dict[str, Any] = {
    "task_id": "score",
    "model": "{{ params.model }}",
    "input_location": "{{ params.input }}",
    "output_spec": {"location": "{{ params.output }}", "mode": "{{ params.mode }}"},
    "inference_engine_options": "{{ params.echo }}",
    "job_spec": "{{ params.job }}",
    "force_rerun": "{{ params.force }}",
    "fail_on_errors": "{{ params.limit }}",
    "gristmill_conn_id": "{{ params.connection }}",
    "poll_interval": 1.0,
    "log_interval": 1.0,
    "retry_delay": timedelta(0),
}


class SlowToDefer(RunBatchOperator):
    """Has its job, and is about to wait for it elsewhere, for longer than any test runs."""

    def defer(self, **arguments: Any) -> None:
        if not self.task_is_tried_again:
            time.sleep(600)
        super().defer(**arguments)

    def execute(self, context: Any) -> Any:
        self.task_is_tried_again = context["ti"].try_number > 1
        return super().execute(context)


class SlowToResume(RunBatchOperator):
    """Is back from the triggerer, and takes longer than any test runs to do what is left."""

    def execute_complete(self, context: Any, event: Any) -> Any:
        if context["ti"].try_number == 1:
            time.sleep(600)
        return super().execute_complete(context, event)


def dag(name: str, operator: type[RunBatchOperator] = RunBatchOperator, **arguments: Any) -> None:
    with DAG(f"live_{name}", schedule=None, params=REQUEST, render_template_as_native_obj=True, catchup=False):
        operator(**(ARGUMENTS | arguments))


for mode, deferrable in {"sync": False, "deferred": True}.items():
    dag(mode, deferrable=deferrable)
    dag(f"{mode}_retried", deferrable=deferrable, retries=3)
    dag(f"{mode}_kept", deferrable=deferrable, cancel_on_kill=False)
    dag(f"{mode}_short_of_time", deferrable=deferrable, execution_timeout=timedelta(seconds=20))

dag("slow_to_defer", SlowToDefer, deferrable=True, retries=3)
dag("slow_to_resume", SlowToResume, deferrable=True, retries=3)
