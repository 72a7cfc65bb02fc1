"""`RunBatchOperator`, in this process: what it asks for, what it returns, and what it makes of failures."""

import copy
import json
import os
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.airflow.in_process import Run, load_dag

import gristmill
from airflow_gristmill import RunBatchOperator
from airflow_gristmill.decorator import BatchInferenceOperator
from gristmill import JobSpec, OutputSpec
from gristmill.errors import SpecError

DAY = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A folder with 100 rows of `id`."""
    folder = tmp_path / "input"
    folder.mkdir()
    pq.write_table(pa.table({"id": range(100)}), folder / "a.parquet")
    return folder


def request(rows: Path, output: Path, **fields: Any) -> dict[str, Any]:
    return {"input": str(rows), "output": str(output), **fields}


def ids(output: Path) -> list[int]:
    return gristmill.read_output(output)["echo"].to_pylist()


@pytest.mark.parametrize("dag_id", ["batch_sync", "batch_deferred"])
def test_a_job_runs_to_its_end_and_its_summary_is_all_that_is_returned(run_dag, rows, tmp_path, dag_id):
    run: Run = run_dag(dag_id, conf=request(rows, tmp_path / "out"), logical_date=DAY)
    assert run.state == "success", run.log
    assert ids(tmp_path / "out") == list(range(100))
    summary = run.xcom("score")
    assert summary == gristmill.read_manifest(tmp_path / "out").summary(str(tmp_path / "out"))
    assert (summary["rows"], summary["errors"]) == (100, 0)
    assert len(json.dumps(summary)) < 1_000
    job = gristmill.get_job(summary["job"])
    assert job.request.key == f"{dag_id}/score/2026-01-01"
    assert "DONE  100 of 100 rows" in run.log


@pytest.mark.parametrize("dag_id", ["batch_sync", "batch_deferred"])
def test_a_failed_job_fails_its_task_with_its_error_and_the_end_of_its_log(run_dag, rows, tmp_path, dag_id):
    wanted = request(rows, tmp_path / "out", echo={"column": "id", "fail_on": 7}, job={"max_batch_rows": 1})
    run: Run = run_dag(dag_id, conf=wanted)
    assert run.state == "failed"
    assert "is FAILED: 1 of 100 rows failed" in run.log
    assert "ValueError" in run.log
    assert "The end of its log:" in run.log
    assert run.xcom("score") is None
    assert not (tmp_path / "out" / "_SUCCESS").exists()


def test_a_finished_partition_is_returned_and_a_changed_request_or_force_runs_again(run_dag, rows, tmp_path):
    def run(**fields: Any) -> Any:
        wanted = request(rows, tmp_path / "out", partition="p1", mode="overwrite", **fields)
        done: Run = run_dag("batch_sync", conf=wanted)
        assert done.state == "success", done.log
        return done.xcom("score")["job"]

    first = run()
    assert run() == first
    other = run(echo={"column": "id", "output_type": "string"})
    assert other != first
    assert run(force="true") == f"{first}.2"


def test_a_request_that_cannot_be_right_fails_at_once_and_touches_nothing(run_dag, rows, tmp_path):
    run: Run = run_dag("batch_retried", conf=request(rows, tmp_path / "out", job={"replicas": 0}))
    assert run.task_state("score") == "failed"
    assert run.task_instances()["score", -1].try_number == 1
    assert "AirflowFailException: JobSpec.replicas" in run.log
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "home").exists()


def test_a_job_that_fails_is_resumed_by_the_next_try(run_dag, rows, tmp_path):
    wanted = request(rows, tmp_path / "out", echo={"column": "id", "fail_on": 7}, job={"max_batch_rows": 1})
    run: Run = run_dag("batch_retried", conf=wanted)
    assert run.task_state("score") == "failed"
    assert run.task_instances()["score", -1].try_number == 3
    jobs = gristmill.list_jobs(-1).collect()
    assert len(jobs) == 1
    latest = gristmill.get_job(jobs[0]["id"]).record.latest()
    assert latest is not None
    assert latest.generation == 3


def test_a_retry_whose_finished_output_was_replaced_computes_it_again(run_dag, rows, tmp_path):
    dag = load_dag("batch_retried")
    jobs: list[str] = []

    def replace_once(context: Any) -> None:
        jobs.append(gristmill.read_manifest(tmp_path / "out").job)
        if len(jobs) == 1:
            gristmill.run_batch(
                "echo:",
                pa.table({"id": [7]}),
                output_spec=OutputSpec(location=tmp_path / "out", mode="overwrite"),
                job_spec=JobSpec(block=True),
            )
            raise RuntimeError("the first try ends after its job")

    dag.get_task("score").post_execute = replace_once
    run: Run = run_dag(dag, conf=request(rows, tmp_path / "out", mode="overwrite"))
    assert run.task_state("score") == "success", run.log
    assert jobs[1] == f"{jobs[0]}.2"
    assert ids(tmp_path / "out") == list(range(100))


def test_a_retry_that_sees_another_home_starts_no_second_job(run_dag, rows, tmp_path, monkeypatch):
    dag = load_dag("batch_retried")
    home = gristmill.Settings.load().home

    def move_home(context: Any) -> None:
        monkeypatch.setenv("GRISTMILL_HOME", str(tmp_path / "elsewhere"))
        raise RuntimeError("the first try ends after its job")

    dag.get_task("score").post_execute = move_home
    run: Run = run_dag(dag, conf=request(rows, tmp_path / "out", mode="overwrite"))
    assert run.task_state("score") == "failed"
    assert run.task_instances()["score", -1].try_number == 3
    assert f"in the home {home!r}, and now the home is {str(tmp_path / 'elsewhere')!r}" in run.log
    assert gristmill.list_jobs(-1).collect() == []
    monkeypatch.setenv("GRISTMILL_HOME", home)
    assert len(gristmill.list_jobs(-1).collect()) == 1


@pytest.mark.parametrize(
    ("limit", "state"), [("", "success"), ("1", "success"), ("0.005", "failed"), ("true", "failed")]
)
def test_a_limit_on_failed_rows_fails_the_task_though_the_output_stands(run_dag, rows, tmp_path, limit, state):
    wanted = request(
        rows,
        tmp_path / "out",
        echo={"column": "id", "fail_on": 7},
        job={"max_batch_rows": 1, "on_error": "record"},
        limit=limit,
    )
    run: Run = run_dag("batch_retried", conf=wanted)
    assert run.task_state("score") == state, run.log
    assert run.task_instances()["score", -1].try_number == 1
    assert gristmill.read_manifest(tmp_path / "out").errors == 1
    if state == "failed":
        assert "1 of 100 rows failed" in run.log


def test_a_task_that_runs_out_of_time_cancels_its_job(run_dag, rows, tmp_path):
    wanted = request(rows, tmp_path / "out", echo={"column": "id", "delay": 1.0}, job={"max_batch_rows": 1})
    run: Run = run_dag("batch_short_of_time", conf=wanted)
    assert run.task_state("score") == "failed"
    job = gristmill.get_job(gristmill.list_jobs(1).collect()[0]["id"])
    assert job.wait(60).value == "CANCELLED"


def test_a_job_that_was_resumed_before_its_task_is_back_is_waited_for_again(settings, rows, tmp_path):
    job = gristmill.run_batch(
        "echo:",
        input_location=rows,
        output_spec=gristmill.OutputSpec(location=tmp_path / "out"),
        inference_engine_options={"column": "id", "delay": 0.2},
        job_spec=gristmill.JobSpec(max_batch_rows=5),
    )
    task = RunBatchOperator(
        task_id="score", model="echo:", input_location="/in", output_spec={"location": "/out"}, poll_interval=0.2
    )
    assert not job.status.is_terminal
    context = {"ti": SimpleNamespace(id="try-1"), "outlet_events": {}}
    summary = task.execute_complete(context, {"job": job.id, "status": "FAILED"})
    assert (summary["job"], summary["rows"]) == (job.id, 100)


MISTAKES = {
    "output_spec.locaton is not a field of it; there are: base_location, location, mode": {
        "output_spec": {"locaton": "/x"}
    },
    "job_spec.replica is not a field": {"job_spec": {"replica": 1}},
    "input_spec.parms is not a field": {"input_spec": {"parms": {}}},
    "input_files.folder is not a field": {"input_location": None, "input_files": {"folder": "/x"}},
    "give exactly one of input_location, query, input_files; none was given": {"input_location": None},
    "poll_interval: give seconds above 0, such as 30 (given: 0)": {"poll_interval": 0},
    "log_interval: give seconds above 0, such as 30 (given: '60')": {"log_interval": "60"},
    "input_location and query were given": {"query": "SELECT 1"},
}


@pytest.mark.parametrize("complaint", MISTAKES)
def test_mistakes_that_show_already_are_told_where_the_dag_is_parsed(complaint):
    right = {"model": "echo:", "input_location": "/in", "output_spec": {"location": "/out/{{ partition }}"}}
    RunBatchOperator(task_id="score", **right)
    with pytest.raises(SpecError, match=re.escape(complaint)):
        RunBatchOperator(task_id="score", **(right | MISTAKES[complaint]))


@pytest.mark.parametrize("deferrable", ["True", "False"])
def test_airflows_own_setting_says_whether_tasks_are_deferrable(deferrable):
    code = (
        "from airflow_gristmill import BatchJobSensor, RunBatchOperator, SentinelSensor\n"
        "operator = RunBatchOperator(task_id='a', model='echo:', input_location='/i', output_spec={'location': '/o'})\n"
        "sensors = BatchJobSensor(task_id='b', job_id='j'), SentinelSensor(task_id='c', location='/out')\n"
        "print(*(str(task.deferrable) for task in (operator, *sensors)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": deferrable},
    )
    assert done.stdout.split()[-3:] == [deferrable] * 3


def test_the_decorated_function_alone_says_what_the_input_is():
    with pytest.raises(SpecError, match="query: the decorated function returns the input; leave this out"):
        BatchInferenceOperator(
            task_id="score",
            python_callable=lambda: "/in",
            model="echo:",
            query="SELECT 1",
            output_spec={"location": "/out"},
        )


class Uncopied:
    """A model that cannot be copied."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


@pytest.mark.parametrize("kind", [RunBatchOperator, BatchInferenceOperator])
def test_a_task_whose_model_cannot_be_copied_can_be(kind):
    given = {"input_location": "/in"} if kind is RunBatchOperator else {"python_callable": lambda: "/in"}
    task = kind(task_id="score", model=Uncopied(), output_spec={"location": "/out"}, **given)
    assert copy.deepcopy(task).model.value is task.model.value


def rendered(**fields: Any) -> RunBatchOperator:
    """A task as a worker has it, in a run whose configuration is `given`."""
    task = RunBatchOperator(
        task_id="score",
        model="echo:",
        input_location="/in/{{ partition }}",
        output_spec={"location": "/out/{{ partition }}"},
        partition="{{ given }}",
    )
    task.render_template_fields({"run_id": "manual__1", "partition_key": None, **fields})
    return task


@pytest.mark.parametrize(
    ("given", "partition", "path"),
    [
        ("eu", "eu", "eu"),
        ("{{ run_id }}", "{{ run_id }}", "%7B%7B run_id %7D%7D"),
        ("orders.sql", "orders.sql", "orders.sql"),
        (0, "0", "0"),
        ("", "manual__1", "manual__1"),
    ],
)
def test_a_partition_is_rendered_once_and_paths_and_key_have_the_same(given, partition, path):
    task = rendered(given=given)
    assert task.input_location == f"/in/{path}"
    assert task.output_spec == {"location": f"/out/{path}"}
    assert task._partition({"run_id": "manual__1"}) == partition


def test_paths_are_locations_like_texts_to_templates_and_to_lineage():
    given = {"model": "echo:", "output_spec": {"location": Path("/out")}}
    task = RunBatchOperator(task_id="score", input_location=Path("/in"), **given)
    assert task.input_location == "/in"
    lineage = task.get_openlineage_facets_on_start()
    assert [data.name for data in (*lineage.inputs, *lineage.outputs)] == ["/in", "/out"]
    assert RunBatchOperator(task_id="sizes", input_files=Path("/in"), **given).input_files == "/in"


def test_an_output_that_is_not_known_yet_has_no_lineage_yet():
    task = RunBatchOperator(task_id="score", model="echo:", input_location="/in", output_spec="{{ params.output }}")
    assert task.get_openlineage_facets_on_start().outputs == []
