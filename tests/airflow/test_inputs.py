"""What a task's input may be: files, queries, listings, and what a decorated function returns."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.airflow.in_process import Run

import gristmill


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "input").mkdir()
    pq.write_table(pa.table({"id": range(10)}), tmp_path / "input" / "a.parquet")
    pq.write_table(pa.table({"id": range(10, 15)}), tmp_path / "input" / "b.parquet")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "one.bin").write_bytes(b"1")
    (tmp_path / "files" / "two.bin").write_bytes(b"22")
    (tmp_path / "files" / "notes.txt").write_text("no")
    return tmp_path


def test_every_kind_of_input_reaches_its_job(run_dag, base):
    run: Run = run_dag("input_kinds", conf={"base": str(base)}, logical_date=datetime(2026, 2, 3, tzinfo=UTC))
    assert run.state == "success", run.log

    def column(task_id: str, name: str = "echo") -> list:
        assert run.xcom(task_id)["location"] == str(base / "out" / task_id / "2026-02-03")
        return gristmill.read_output(run.xcom(task_id)["location"])[name].to_pylist()

    assert column("query") == [0, 1, 2]
    assert column("files", "size") == [1, 2]
    assert run.xcom("files")["name"].startswith("sizes-input_kinds-files-2026-02-03-")
    assert column("function_here", "loud") == [str(number) for number in range(15)]
    assert column("location") == list(range(15))
    assert column("frame") == ["a", "b"]
    assert column("sql") == [5]
    assert [Path(path).name for path in column("listing")] == ["notes.txt", "one.bin", "two.bin"]


def test_a_function_that_returns_nothing_fails_without_being_tried_again(run_dag, base):
    run: Run = run_dag("input_none", conf={"base": str(base)})
    assert run.task_state("nothing") == "failed"
    assert run.task_instances()["nothing", -1].try_number == 1
    assert "nothing() returned nothing; it returns the input" in run.log


def test_mapped_tasks_are_a_job_each(run_dag, base):
    run: Run = run_dag("mapped", conf={"base": str(base)}, logical_date=datetime(2026, 2, 3, tzinfo=UTC))
    assert run.state == "success", run.log
    summaries = [run.xcom("score", map_index=index) for index in (0, 1)]
    assert [summary["rows"] for summary in summaries] == [10, 5]
    assert len({summary["job"] for summary in summaries}) == 2
    jobs = [gristmill.get_job(summary["job"]) for summary in summaries]
    assert [job.request.key for job in jobs] == ["mapped/score/2026-02-03/0", "mapped/score/2026-02-03/1"]
    for summary in summaries:
        assert Path(summary["location"]).parent == base / "out"
    assert [run.xcom("part", map_index=index)["rows"] for index in (0, 1)] == [10, 5]
