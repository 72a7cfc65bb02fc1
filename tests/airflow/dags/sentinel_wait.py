"""A sensor in each mode; where and what for comes from the run."""

from airflow.sdk import DAG, Asset

from airflow_gristmill import SentinelSensor

_EVERY = {
    "location": "{{ dag_run.conf['location'] }}",
    "job_id": "{{ dag_run.conf.get('job_id') }}",
    "newer_than": "{{ dag_run.conf.get('newer_than') }}",
    "min_rows": "{{ dag_run.conf.get('min_rows') }}",
    "max_error_rate": "{{ dag_run.conf.get('max_error_rate') }}",
    "poke_interval": 0.2,
    "timeout": 60,
    "retries": 2,
    "retry_delay": 0,
}

for _mode, _options in {
    "poke": {"mode": "poke", "deferrable": False},
    "reschedule": {"mode": "reschedule", "deferrable": False},
    "deferrable": {"deferrable": True},
    "outlets": {"deferrable": True, "outlets": [Asset("sentinel_waited_for")]},
    "soft_fail": {"mode": "poke", "deferrable": False, "timeout": 0.3, "soft_fail": True},
    "timeout": {"mode": "poke", "deferrable": False, "timeout": 0.3},
}.items():
    with DAG(f"sentinel_wait_{_mode}", schedule=None) as _dag:
        SentinelSensor(task_id="wait", **{**_EVERY, **_options})
    globals()[_dag.dag_id] = _dag

with DAG("sentinel_wait_interval", schedule=None) as sentinel_wait_interval:
    SentinelSensor(
        task_id="wait",
        location="{{ dag_run.conf['location'] }}/{{ ds }}",
        newer_than="{{ data_interval_end }}",
        deferrable=True,
        poke_interval=0.2,
        timeout=60,
    )

with DAG("sentinel_wait_mapped", schedule=None) as sentinel_wait_mapped:
    SentinelSensor.partial(task_id="wait", deferrable=True, poke_interval=0.2, timeout=60, retries=2).expand_kwargs(
        [
            {"location": "{{ dag_run.conf['location'] }}/a"},
            {"location": "{{ dag_run.conf['location'] }}/b", "max_error_rate": 2},
        ]
    )
