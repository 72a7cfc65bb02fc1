"""Sensors that wait for a job, in each mode."""

from airflow.sdk import DAG

from airflow_gristmill import BatchJobSensor

for mode in ("poke", "reschedule", "deferred"):
    with DAG(f"job_wait_{mode}", schedule=None, params={"job": "", "limit": ""}, catchup=False):
        BatchJobSensor(
            task_id="wait",
            job_id="{{ params.job }}",
            fail_on_errors="{{ params.limit }}",
            poke_interval=0.5,
            timeout=120,
            mode="poke" if mode == "deferred" else mode,
            deferrable=mode == "deferred",
        )
