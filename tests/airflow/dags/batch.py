"""One job, whose request is the run's configuration."""

from datetime import timedelta

from airflow.sdk import DAG, Param

from airflow_gristmill import RunBatchOperator

REQUEST = {
    "input": Param("", type="string"),
    "output": Param("", type="string"),
    "model": Param("echo:", type="string"),
    "echo": Param({"column": "id"}, type=["object", "null"]),
    "job": Param({}, type="object"),
    "mode": Param("error", type="string"),
    "partition": Param("", type="string"),
    "force": Param("", type="string"),
    "limit": Param("", type="string"),
}


def batch(task_id: str, **arguments: object) -> RunBatchOperator:
    given = {
        "model": "{{ params.model }}",
        "input_location": "{{ params.input }}",
        "output_spec": {"location": "{{ params.output }}", "mode": "{{ params.mode }}"},
        "inference_engine_options": "{{ params.echo }}",
        "job_spec": "{{ params.job }}",
        "partition": "{{ params.partition }}",
        "force_rerun": "{{ params.force }}",
        "fail_on_errors": "{{ params.limit }}",
        "poll_interval": 1.0,
        "log_interval": 1.0,
    }
    return RunBatchOperator(task_id=task_id, **(given | arguments))


def dag(dag_id: str) -> DAG:
    return DAG(dag_id, schedule=None, params=REQUEST, render_template_as_native_obj=True, catchup=False)


with dag("batch_sync"):
    batch("score", deferrable=False)

with dag("batch_deferred"):
    batch("score", deferrable=True)

with dag("batch_retried"):
    batch("score", deferrable=False, retries=2, retry_delay=timedelta(seconds=0))

with dag("batch_short_of_time"):
    batch("score", deferrable=False, execution_timeout=timedelta(seconds=15))
