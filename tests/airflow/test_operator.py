"""`RunBatchOperator`, in this process: what it asks for, what it returns, and what it makes of failures."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.airflow.in_process import Run, load_dag

import gristmill

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
    assert "ValueError: fail_on" in run.log or "ValueError" in run.log
    assert "The end of its log:" in run.log
    assert run.xcom("score") is None
    assert not (tmp_path / "out" / "_SUCCESS").exists()
