"""An engine that no row survives: the job ends, blames no row, and does all of them once the engine is mended."""

from pathlib import Path

import pyarrow as pa

import gristmill
from gristmill import JobSpec, JobStatus, OutputSpec, Settings
from gristmill.engines.protocol import EngineDeadError


class Broken(gristmill.CustomModel):
    """Dies of every row while a file is there."""

    def __init__(self, broken: Path) -> None:
        self.broken = broken

    @gristmill.inference_api(outputs={"y": "int64"})
    def predict(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        if self.broken.exists():
            raise EngineDeadError("CUDA error: an illegal memory access was encountered")
        return pa.record_batch({"y": rows.column("id")})


def test_a_job_of_a_dead_engine_ends_and_a_rerun_does_every_row(settings: Settings, tmp_path: Path) -> None:
    def run() -> gristmill.Job:
        return gristmill.run_batch(
            Broken(tmp_path / "broken"),
            pa.table({"id": range(16)}),
            output_spec=OutputSpec(location=tmp_path / "out", mode="overwrite"),
            job_spec=JobSpec(job_name="broken", on_error="record", block=True),
            compute_pool="local",
            settings=settings,
        )

    (tmp_path / "broken").touch()
    first = run()
    assert first.status is JobStatus.FAILED
    assert "CUDA error" in first.message
    assert "engine is probably at fault" in first.message
    (tmp_path / "broken").unlink()
    again = run()
    assert again.id == first.id
    assert again.status is JobStatus.DONE, again.message
    found = gristmill.read_output(tmp_path / "out", settings=settings)
    assert found["y"].to_pylist() == list(range(16))
    assert gristmill.read_manifest(tmp_path / "out", settings=settings).errors == 0
