"""Params on their way through the record of a job."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import gristmill
from gristmill import InputSpec, JobSpec, OutputSpec, Settings, inference_api


class Marks:
    """Tells what it was given."""

    @inference_api(outputs={"seen": "string"})
    def predict(self, rows: pa.RecordBatch, *, mark: bytes = b"\xff", more: Any = None) -> dict[str, list[str]]:
        return {"seen": [repr((mark, more))] * rows.num_rows}


@pytest.mark.parametrize(
    "given",
    [{}, {"MARK": b"\x00\xfe"}, {"more": {"at": datetime(2026, 1, 1), "of": [b"x"]}}],  # noqa: DTZ001
)
def test_bytes_and_moments_reach_the_function_as_they_were_given(
    settings: Settings, tmp_path: Path, given: dict[str, Any]
) -> None:
    def run() -> gristmill.Job:
        return gristmill.run_batch(
            Marks,
            pa.table({"x": [1]}),
            compute_pool="inline",
            input_spec=InputSpec(params=given),
            output_spec=OutputSpec(location=tmp_path / "out", mode="overwrite"),
            job_spec=JobSpec(job_name="marks", block=True),
        )

    job = run()
    wanted = repr((given.get("MARK", b"\xff"), given.get("more")))
    assert gristmill.read_output(tmp_path / "out")["seen"].to_pylist() == [wanted]
    assert run().id == job.id
