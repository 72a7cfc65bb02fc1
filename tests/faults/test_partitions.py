"""Jobs over partitions, killed in mid-work: every partition stands in the output once, and none is run in parts."""

import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

import gristmill
from gristmill import CustomModel, InputSpec, JobSpec, JobStatus, OutputSpec, Settings, partitioned_api
from gristmill.outputs.commit import CommitLog
from gristmill.storage.storage import Storage
from tests.faults.conftest import kill, until
from tests.processes import lives

PARTITIONS = 40
ROWS = 400


class Sums(CustomModel):
    """Sums over a partition, slowly, and logs its calls; one may kill its worker."""

    def __init__(self, calls: Path, *, delay: float = 0.0, poison: str = "") -> None:
        self.calls, self.delay, self.poison = calls, delay, poison

    @partitioned_api(inputs={"key": "string", "x": "int64"}, outputs={"total": "int64", "rows": "int64"})
    def total(self, rows: pa.RecordBatch) -> dict[str, Any]:
        key = rows["key"][0].as_py()
        with self.calls.open("a") as log:
            log.write(f"{key}\n")
        if key == self.poison:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.delay)
        return {"total": [pc.sum(rows["x"]).as_py()], "rows": [rows.num_rows]}


def run(settings: Settings, root: Path, model: Sums, **job: Any) -> gristmill.Job:
    rows = pa.table({"key": [f"k{at % PARTITIONS:02d}" for at in range(ROWS)], "x": range(ROWS)})
    return gristmill.run_batch(
        model,
        rows,
        compute_pool="local",
        input_spec=InputSpec(partition_column="key"),
        output_spec=OutputSpec(location=root / "out", mode="overwrite"),
        job_spec=JobSpec(**{"job_name": "sums", **job}),
        settings=settings,
    )


def wanted(*, failed: str = "") -> list[tuple[str, int | None, int | None]]:
    found: list[tuple[str, int | None, int | None]] = []
    for at in range(PARTITIONS):
        mine = range(at, ROWS, PARTITIONS)
        key = f"k{at:02d}"
        found.append((key, None, None) if key == failed else (key, sum(mine), len(mine)))
    return found


def output(settings: Settings, root: Path) -> list[tuple[Any, ...]]:
    found = gristmill.read_output(root / "out", settings=settings).to_pylist()
    return [(row["key"], row["total"], row["rows"]) for row in found]


def test_a_killed_job_goes_on_with_the_partitions_that_are_left(settings: Settings, tmp_path: Path) -> None:
    calls = tmp_path / "calls.log"
    model = Sums(calls, delay=0.2)
    job = run(settings, tmp_path, model)
    log = CommitLog(Storage(settings), job.request.staging, generation=0)
    until(lambda: any(True for _ in log.segments()))
    progress = job.progress()
    assert progress is not None
    pid = int(progress.process["pid"])
    kill(pid)
    until(lambda: not lives(pid))
    committed = [commit for segment in log.segments() for commit in segment]
    done = sum(commit.partitions for commit in committed)
    assert 0 < done < PARTITIONS
    again = run(settings, tmp_path, model, block=True)
    assert (again.id, again.status) == (job.id, JobStatus.DONE), again.message
    assert output(settings, tmp_path) == wanted()
    assert (again.manifest().input_rows, again.manifest().partitions) == (ROWS, PARTITIONS)
    counted = Counter(calls.read_text().split())
    assert all(counted[f"k{at:02d}"] == 1 for at in range(done))
    assert "resuming" in again.get_logs(verbose=True)
    assert "grouped" not in again.get_logs(verbose=True)


def test_a_partition_that_kills_its_worker_is_found_and_recorded(settings: Settings, tmp_path: Path) -> None:
    calls = tmp_path / "calls.log"
    job = run(settings, tmp_path, Sums(calls, poison="k23"), on_error="record", block=True)
    assert job.status is JobStatus.DONE, job.message
    assert output(settings, tmp_path) == wanted(failed="k23")
    (error,) = [
        row["_error"]
        for row in gristmill.read_output(tmp_path / "out", settings=settings).to_pylist()
        if row["_error"] is not None
    ]
    assert (error["type"], error["reference"]) == ("WorkerDied", "k23")
    assert "each time it ran this partition" in error["message"]
    assert Counter(calls.read_text().split())["k23"] == 4
