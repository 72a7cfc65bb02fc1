"""The sensor that waits for a job: done, failed, not there yet."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.airflow.in_process import Run, load_dag, meanwhile

import gristmill
from airflow_gristmill import BatchJobSensor
from gristmill import JobSpec, OutputSpec, Settings

MODES = ["poke", "reschedule", "deferred"]


def start(output: Path, *, delay: float = 0.0, fail_on: int | None = None, on_error: str = "record") -> gristmill.Job:
    options: dict[str, Any] = {"column": "id", "delay": delay}
    return gristmill.run_batch(
        "echo:",
        pa.table({"id": range(4)}),
        output_spec=OutputSpec(location=output),
        inference_engine_options=options if fail_on is None else {**options, "fail_on": fail_on},
        job_spec=JobSpec(max_batch_rows=1, on_error=on_error, job_name="awaited"),
    )


@pytest.mark.parametrize("mode", MODES)
def test_a_sensor_waits_for_the_end_of_a_job_and_returns_its_summary(run_dag, tmp_path, mode):
    job = start(tmp_path / "out", delay=1.5)
    run: Run = run_dag(f"job_wait_{mode}", conf={"job": job.id})
    assert run.state == "success", run.log
    assert run.xcom("wait") == job.manifest().summary(job.location)


@pytest.mark.parametrize("mode", ["poke", "deferred"])
def test_a_job_that_failed_fails_the_sensor_with_its_error(run_dag, tmp_path, mode):
    job = start(tmp_path / "out", fail_on=2, on_error="fail")
    run: Run = run_dag(f"job_wait_{mode}", conf={"job": job.id})
    assert run.task_state("wait") == "failed"
    assert f"job '{job.id}' is FAILED: 1 of 4 rows failed" in run.log


def test_too_many_failed_rows_fail_the_sensor(run_dag, tmp_path):
    job = start(tmp_path / "out", fail_on=2)
    job.wait(60)
    assert run_dag("job_wait_poke", conf={"job": job.id, "limit": "1"}).state == "success"
    run: Run = run_dag("job_wait_poke", conf={"job": job.id, "limit": "0"})
    assert run.task_state("wait") == "failed"
    assert "1 of 4 rows failed, and fail_on_errors=0 takes 0" in run.log


@pytest.mark.parametrize(
    ("mode", "told"), [("poke", "there is no job 'awaited'"), ("deferred", "running trigger in line")]
)
def test_a_job_that_does_not_exist_yet_is_waited_for_by_its_name(run_dag, tmp_path, mode, told):
    with meanwhile(lambda: start(tmp_path / "out"), told=told):
        run: Run = run_dag(f"job_wait_{mode}", conf={"job": "awaited"})
    assert run.state == "success", run.log
    assert run.xcom("wait")["name"] == "awaited"
    assert "there is no job 'awaited'" in run.log


def test_a_job_awaited_by_its_name_is_the_one_that_ended_though_another_has_the_name_now(
    settings: Settings, tmp_path: Path
) -> None:
    first = start(tmp_path / "first")
    first.wait(60)
    start(tmp_path / "second", delay=20).cancel()
    sensor = BatchJobSensor(task_id="wait", job_id="awaited", deferrable=True)
    assert sensor.execute_complete({}, {"job": first.id, "status": "DONE"})["job"] == first.id


@pytest.mark.parametrize("mode", ["poke", "deferred"])
@pytest.mark.parametrize("job_id", ["", "None"])
def test_a_job_that_no_template_names_is_not_waited_for(run_dag, mode, job_id):
    run: Run = run_dag(f"job_wait_{mode}", conf={"job": job_id})
    assert run.task_state("wait") == "failed"
    assert f"job_id: give the id or the name of a job (given: {job_id!r})" in run.log


@pytest.mark.parametrize("mode", ["poke", "deferred"])
def test_a_soft_sensor_skips_what_cannot_be_right_in_every_mode(run_dag, mode):
    dag = load_dag(f"job_wait_{mode}")
    dag.get_task("wait").soft_fail = True
    run: Run = run_dag(dag, conf={"job": ""})
    assert run.task_state("wait") == "skipped"
