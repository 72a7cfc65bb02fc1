"""A producer, sensors that start in the triggerer or not, and what waits too long or for what cannot be."""

from datetime import timedelta

from airflow.sdk import DAG, Asset, dag, task

from airflow_gristmill import SentinelSensor

_WHERE = {"location": "{{ dag_run.conf['location'] }}", "deferrable": True, "poke_interval": 0.5}


@dag(schedule=None)
def sentinel_live_producer():
    @task
    def publish(dag_run=None) -> str:
        import pyarrow as pa

        import gristmill

        job = gristmill.run_batch(
            "echo:",
            pa.table({"id": range(dag_run.conf["rows"])}),
            compute_pool="inline",
            output_spec=gristmill.OutputSpec(location=dag_run.conf["location"], mode="overwrite"),
            job_spec=gristmill.JobSpec(block=True),
        )
        return job.id

    publish()


sentinel_live_producer()

with DAG("sentinel_live_wait", schedule=None) as sentinel_live_wait:
    wait = SentinelSensor(
        task_id="wait", min_rows="{{ dag_run.conf['rows'] }}", retries=2, retry_delay=timedelta(0), **_WHERE
    )
    SentinelSensor(task_id="wait_only", do_xcom_push=False, **_WHERE)

    @task
    def job_of(summary: dict) -> str:
        return summary["job"]

    job_of(wait.output)

with DAG("sentinel_live_outlets", schedule=None) as sentinel_live_outlets:
    SentinelSensor(task_id="wait", outlets=[Asset("sentinel_live_outlet")], **_WHERE)

with DAG("sentinel_live_timeout", schedule=None) as sentinel_live_timeout:
    SentinelSensor(task_id="fails", timeout=1, retries=2, retry_delay=timedelta(0), **_WHERE)
    SentinelSensor(task_id="skips", timeout=1, soft_fail=True, **_WHERE)
