"""Jobs of engines that answer row by row, killed, cancelled and resumed in mid-work."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gristmill
from gristmill import JobStatus
from gristmill.settings import Settings
from tests.faults.conftest import Victim, kill, until
from tests.processes import lives

ROWS = 4_000


@pytest.fixture
def rows(tmp_path: Path, settings: Settings) -> Victim:
    """Rows that begin alike in tens, mixed, in four shards."""
    (tmp_path / "input").mkdir()
    texts = [f"{number % 400:03d}" * 100 + f" {number}" for number in range(ROWS)]
    pq.write_table(pa.table({"id": range(ROWS), "text": texts}), tmp_path / "input" / "rows.parquet")
    return Victim(tmp_path, settings)


def _submit(rows: Victim, *, delay: float = 0.2, **echo: Any) -> gristmill.Job:
    return gristmill.run_batch(
        "echo:row",
        input_location=rows.root / "input",
        compute_pool="local",
        inference_engine_options={"column": "text", "window": 64, "count": 5, "delay": delay, **echo},
        output_spec=gristmill.OutputSpec(location=rows.output, mode="overwrite"),
        job_spec=gristmill.JobSpec(job_name="rows"),
        settings=rows.settings,
    )


def _check(rows: Victim) -> None:
    found = gristmill.read_output(rows.output, settings=rows.settings).to_pylist()
    assert [row["id"] for row in found] == list(range(ROWS))
    assert all(row["echo"] == row["text"] for row in found)


@pytest.mark.parametrize("grouping", [False, True])
def test_a_killed_worker_is_replaced_and_every_row_comes_out_once(rows: Victim, grouping: bool) -> None:
    job = _submit(rows, delay=0.1, prefix_grouping=grouping)
    until(lambda: (progress := job.progress()) is not None and progress.rows > 500)
    kill(rows.worker_pids(job)[-1])
    assert job.wait(120) is JobStatus.DONE, job.message
    _check(rows)
    manifest = gristmill.read_manifest(rows.output, settings=rows.settings)
    assert manifest.errors == 0
    assert manifest.tokens == {"prompt_tokens": 5 * ROWS, "output_tokens": 5 * ROWS}


def test_progress_tells_of_rows_and_tokens_before_any_shard_is_done(rows: Victim) -> None:
    job = _submit(rows, delay=2.0)
    until(lambda: (progress := job.progress()) is not None and progress.metrics.get("output_tokens", 0) > 0)
    progress = job.progress()
    assert progress is not None
    assert progress.shards == 0
    assert 0 < progress.rows < ROWS
    assert progress.gauges["rows_in_flight"] == 64
    assert progress.gauges["rows_waiting"] > 0
    until(lambda: (later := job.progress()) is not None and later.rates.get("output_tokens", 0) > 0)
    job.cancel()
    assert job.wait(240) is JobStatus.CANCELLED
    last = job.progress()
    assert last is not None
    assert (last.gauges["rows_in_flight"], last.gauges["rows_waiting"]) == (0, 0)


def test_a_cancelled_job_frees_its_workers_and_a_rerun_resumes(rows: Victim) -> None:
    job = _submit(rows, delay=0.2)
    until(lambda: len(rows.committed(job)) >= 1_000)
    workers = rows.worker_pids(job)
    job.cancel()
    assert job.wait(240) is JobStatus.CANCELLED
    until(lambda: not any(map(lives, workers)))
    committed = rows.committed(job)
    assert len(committed) < ROWS
    again = _submit(rows, delay=0.2)
    assert again.id == job.id
    assert again.wait(120) is JobStatus.DONE, again.message
    _check(rows)
    assert gristmill.read_manifest(rows.output, settings=rows.settings).tokens["output_tokens"] == 5 * ROWS
