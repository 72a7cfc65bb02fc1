"""A job for each of several locations, with outlets of both kinds."""

from datetime import timedelta

from airflow.sdk import DAG, Asset, AssetAlias, Param, get_current_context, task

from airflow_gristmill import RunBatchOperator

with DAG(
    "live_mapped",
    schedule=None,
    params={"folder": Param("", type="string"), "delay": Param(0, type="number")},
    catchup=False,
    render_template_as_native_obj=True,
):

    @task
    def locations() -> list[str]:
        return list(get_current_context()["dag_run"].conf["locations"])

    RunBatchOperator.partial(
        task_id="score",
        model="echo:",
        output_spec={"base_location": "{{ params.folder }}/out"},
        inference_engine_options={
            "column": "id",
            "count": 2,
            "fail_on": 0,
            "delay": "{{ params.delay }}",
            "log": "{{ params.folder }}/calls",
        },
        job_spec={"max_batch_rows": 1, "on_error": "record"},
        deferrable=True,
        retries=2,
        retry_delay=timedelta(0),
        poll_interval=1.0,
        outlets=[Asset("live_scores"), AssetAlias("live_scores_by_location")],
    ).expand(input_location=locations())
