"""A job whose request comes from variables, so that a task that is cleared may find another one."""

from datetime import timedelta

from airflow.sdk import DAG, Param

from airflow_gristmill import RunBatchOperator

with DAG(
    "live_cleared",
    schedule=None,
    params={"input": Param("", type="string"), "output": Param("", type="string"), "echo": Param({}, type="object")},
    catchup=False,
    render_template_as_native_obj=True,
):
    RunBatchOperator(
        task_id="score",
        model="echo:",
        input_location="{{ params.input }}",
        output_spec={"location": "{{ params.output }}", "mode": "overwrite"},
        inference_engine_options={
            "column": "{{ var.value.live_column or none }}",
            "delay": "{{ params.echo.delay }}",
            "log": "{{ params.echo.log }}",
        },
        job_spec={"max_batch_rows": 10},
        force_rerun="{{ var.value.live_force }}",
        deferrable=False,
        retries=2,
        retry_delay=timedelta(0),
        poll_interval=1.0,
    )
