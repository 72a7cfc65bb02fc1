"""The input's columns against the function's signature, before anything is written."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import gristmill
from gristmill import CustomModel, InputSpec, JobSpec, OutputSpec, Settings, inference_api
from gristmill.errors import SchemaError


class Strict(CustomModel):
    """Says what it takes."""

    @inference_api(inputs={"n": "int32", "image": "bytes", "vector": ("float32", 3)}, outputs={"seen": "string"})
    def predict(self, rows: pa.RecordBatch) -> dict[str, list[str]]:
        return {"seen": [f"{row['n']} {row['image']!r} {row['vector']}" for row in rows.to_pylist()]}


def run(root: Path, rows: pa.Table, *, handling: str | None = None, **job: Any) -> gristmill.Job:
    files = {"image": {"input_format": "full_stage_path", "convert_to": handling}} if handling else None
    return gristmill.run_batch(
        Strict(),
        rows,
        compute_pool="inline",
        output_spec=OutputSpec(location=root / "out"),
        input_spec=InputSpec(column_handling=files, allowed_locations=(str(root),)),
        job_spec=JobSpec(block=True, **job),
    )


def test_all_that_is_wrong_is_told_at_once_and_nothing_is_written(settings: Settings, tmp_path: Path) -> None:
    rows = pa.table({"N": ["1"], "image": ["a.png"]})
    with pytest.raises(SchemaError) as caught:
        run(tmp_path, rows)
    told = str(caught.value)
    assert "'predict' needs the input column(s) vector, and cannot take the input as it is" in told
    assert "'N' holds string where it takes int32" in told
    assert (
        "'image' holds string where it takes binary (if it names files, give it in input_spec.column_handling)" in told
    )
    assert "the input has: N, image" in told
    assert not (tmp_path / "out").exists()


def test_a_file_column_counts_as_what_it_becomes(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"abc")
    rows = pa.table({"n": [1], "image": [str(tmp_path / "a.bin")], "vector": [[1.0, 2.0, 3.0]]})
    with pytest.raises(SchemaError, match="'image' holds string where it takes binary"):
        run(tmp_path, rows, handling="base64")
    assert run(tmp_path, rows, handling="raw_bytes").status is gristmill.JobStatus.DONE
    assert gristmill.read_output(tmp_path / "out")["seen"].to_pylist() == ["1 b'abc' [1.0, 2.0, 3.0]"]


def test_a_value_that_does_not_fit_is_its_rows_failure(settings: Settings, tmp_path: Path) -> None:
    rows = pa.table({
        "n": pa.array([1, 2**40, 3, None], pa.int64()),
        "image": [b"a"] * 4,
        "vector": [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0], None],
    })  # fmt: skip
    run(tmp_path, rows, on_error="record")
    found = gristmill.read_output(tmp_path / "out").to_pylist()
    assert [row["_error"] and row["_error"]["type"] for row in found] == [None, "ArrowInvalid", "ArrowInvalid", None]
    assert found[3]["seen"] == "None b'a' None"
