"""Resuming: what was given up, half recorded or failed before is done again, and nothing is lost or doubled."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import gristmill
from gristmill import JobSpec, JobStatus, OutputSpec, Settings
from gristmill.errors import JobNotFoundError


class Fragile(gristmill.CustomModel):
    """Fails on the rows that a file names."""

    def __init__(self, bad: Path) -> None:
        self.bad = bad

    @gristmill.inference_api(outputs={"y": "int64"})
    def predict(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        bad = set(self.bad.read_text().split()) if self.bad.exists() else set()
        ids = rows.column("id").to_pylist()
        if "all" in bad or bad & set(map(str, ids)):
            raise RuntimeError("broken")
        return pa.record_batch({"y": pa.array([2 * i for i in ids], pa.int64())})


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    return tmp_path / "bad"


def run(settings: Settings, root: Path, bad: Path, *, rows: int = 100, **job: Any) -> gristmill.Job:
    return gristmill.run_batch(
        Fragile(bad),
        pa.table({"id": range(rows)}),
        output_spec=OutputSpec(location=root / "out", mode="overwrite"),
        job_spec=JobSpec(**{"job_name": "again", "block": True, **job}),
        compute_pool="inline",
        settings=settings,
    )


def assert_right(settings: Settings, root: Path, rows: int = 100) -> None:
    found = gristmill.read_output(root / "out", settings=settings)
    assert found["id"].to_pylist() == list(range(rows))
    assert found["y"].to_pylist() == [2 * i for i in range(rows)]


def test_rows_that_were_given_up_are_done_when_the_job_runs_again(
    settings: Settings, tmp_path: Path, bad: Path
) -> None:
    bad.write_text("all")
    first = run(settings, tmp_path, bad, on_error="record", max_errors=15, max_batch_rows=10)
    assert first.status is JobStatus.FAILED
    bad.unlink()
    again = run(settings, tmp_path, bad, on_error="record", max_errors=1_000, max_batch_rows=10)
    assert again.id == first.id
    assert again.status is JobStatus.DONE, again.message
    assert_right(settings, tmp_path)


@pytest.mark.parametrize("on_error", ["record", "fail"])
def test_a_job_that_too_many_errors_stopped_succeeds_once_they_are_mended(
    on_error: str, settings: Settings, tmp_path: Path, bad: Path
) -> None:
    bad.write_text(" ".join(map(str, range(30, 41))))
    first = run(settings, tmp_path, bad, on_error="record", max_errors=10, max_batch_rows=5)
    assert first.status is JobStatus.FAILED
    bad.unlink()
    again = run(settings, tmp_path, bad, on_error=on_error, max_errors=10, max_batch_rows=5)
    assert again.id == first.id
    assert again.status is JobStatus.DONE, again.message
    assert_right(settings, tmp_path)
    assert gristmill.read_manifest(tmp_path / "out", settings=settings).errors == 0


def test_a_job_that_was_recorded_but_never_claimed_is_started(settings: Settings, tmp_path: Path, bad: Path) -> None:
    import shutil

    bad.write_text("all")
    job = run(settings, tmp_path, bad)
    shutil.rmtree(Path(settings.home) / "jobs" / job.id / "runs")
    assert job.status is JobStatus.PENDING
    bad.unlink()
    again = run(settings, tmp_path, bad)
    assert again.id == job.id
    assert again.status is JobStatus.DONE, again.message
    assert_right(settings, tmp_path)


def test_a_run_that_was_never_claimed_is_no_run(settings: Settings, tmp_path: Path, bad: Path) -> None:
    bad.write_text("all")
    job = run(settings, tmp_path, bad)
    (Path(settings.home) / "jobs" / job.id / "runs" / "000002").mkdir()
    assert job.status is JobStatus.FAILED
    assert [row["id"] for row in gristmill.list_jobs(settings=settings).collect()] == [job.id]
    bad.unlink()
    assert run(settings, tmp_path, bad).status is JobStatus.DONE
    assert_right(settings, tmp_path)


@pytest.mark.parametrize("request_json", [None, "", "{", '{"name": 1}'])
def test_a_half_made_record_harms_no_other_job(
    request_json: str | None, settings: Settings, tmp_path: Path, bad: Path
) -> None:
    job = run(settings, tmp_path, bad)
    folder = Path(settings.home) / "jobs" / "aaa-half-made"
    folder.mkdir()
    if request_json is not None:
        (folder / "request.json").write_text(request_json)
    assert gristmill.get_job("again", settings=settings).id == job.id
    assert [row["id"] for row in gristmill.list_jobs(settings=settings).collect()] == [job.id]
    with pytest.raises(JobNotFoundError):
        gristmill.get_job("nobody", settings=settings)
    if request_json is not None:
        gristmill.delete_job("aaa-half-made", settings=settings)
        assert not folder.exists()


def test_a_message_that_is_no_text_is_its_rows_error(settings: Settings, tmp_path: Path) -> None:
    def model(frame: pa.RecordBatch) -> pa.RecordBatch:
        raise ValueError("\ud800 is no character")

    job = gristmill.run_batch(
        model,
        pa.table({"id": [1, 2]}),
        output_spec=OutputSpec(location=tmp_path / "out"),
        job_spec=JobSpec(on_error="record", block=True),
        compute_pool="inline",
        settings=settings,
    )
    assert job.status is JobStatus.DONE, job.message
    errors = gristmill.read_output(tmp_path / "out", settings=settings)["_error"].to_pylist()
    assert [error["message"] for error in errors] == ["? is no character"] * 2


def test_a_column_without_any_value_is_a_column(settings: Settings, tmp_path: Path) -> None:
    def model(frame: pa.RecordBatch) -> pa.RecordBatch:
        return pa.record_batch({"y": pa.nulls(frame.num_rows), "z": pa.array([1] * frame.num_rows)})

    job = gristmill.run_batch(
        model,
        pa.table({"id": range(200)}),
        output_spec=OutputSpec(location=tmp_path / "out"),
        job_spec=JobSpec(block=True),
        compute_pool="inline",
        settings=settings,
    )
    assert job.status is JobStatus.DONE, job.message
    found = gristmill.read_output(tmp_path / "out", settings=settings)
    assert found.column_names == ["id", "y", "z"]
    assert found["y"].null_count == 200


def test_a_careful_task_keeps_the_users_bound() -> None:
    from gristmill.plan.shards import Shard, Slice
    from gristmill.replica.messages import Task
    from gristmill.replica.sizing import BatchSizer
    from gristmill.replica.worker import _careful_rows

    shard = Shard(0, (Slice("/f", 1, ""),))
    assert _careful_rows(Task(0, shard, careful=True), BatchSizer(4)) == 4
    assert _careful_rows(Task(0, shard, 0, 32, careful=True), BatchSizer(4)) == 2
    assert _careful_rows(Task(0, shard), BatchSizer(4)) is None
