"""What the end of a job means: the limits on failed rows, and what a failure tells."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import gristmill
from gristmill import JobSpec, OutputSpec, Settings
from gristmill.errors import FailedRowsError, JobFailedError, SpecError
from gristmill.jobs.outcome import check_errors, outcome_of, parse_error_limit

LIMITS = [
    (None, None),
    ("", None),
    ("None", None),
    (True, True),
    (" TRUE ", True),
    (False, False),
    ("false", False),
    (0, 0),
    ("0", 0),
    (10, 10),
    ("10", 10),
    (10.0, 10),
    (0.05, 0.05),
    ("0.05", 0.05),
    ("5e-2", 0.05),
    (0.0, 0.0),
]


@pytest.mark.parametrize(("given", "limit"), LIMITS)
def test_limits_are_read_as_they_are_meant(given: Any, limit: Any) -> None:
    found = parse_error_limit(given)
    assert found == limit
    assert type(found) is type(limit)


@pytest.mark.parametrize("given", [-1, "-0.1", 1.5, "many", float("nan"), "inf", [1], {"rows": 1}])
def test_what_is_no_limit_is_refused_by_name_and_value(given: Any) -> None:
    with pytest.raises(SpecError, match=r"fail_on_errors: .* is no limit; give True"):
        parse_error_limit(given)


JUDGED = [
    (100, 50, None, True),
    (100, 50, False, True),
    (100, 0, True, True),
    (100, 1, True, False),
    (100, 0, 0, True),
    (100, 1, 0, False),
    (100, 10, 10, True),
    (100, 11, 10, False),
    (100, 5, 0.05, True),
    (100, 6, 0.05, False),
    (100, 1, 0.0, False),
    (0, 0, 0.0, True),
]


@pytest.mark.parametrize(("rows", "errors", "limit", "fine"), JUDGED)
def test_a_limit_is_the_most_that_may_fail(rows: int, errors: int, limit: Any, fine: bool) -> None:
    problem = check_errors(errors, rows, limit=limit)
    assert (problem is None) is fine
    if problem is not None:
        assert f"{errors} of {rows} rows failed" in problem
        assert f"fail_on_errors={limit}" in problem


def run(tmp_path: Path, *, on_error: str) -> gristmill.Job:
    (tmp_path / "images").mkdir()
    for name, content in {"a": b"12", "b": b"bad one", "c": b"123"}.items():
        (tmp_path / "images" / f"{name}.bin").write_bytes(content)
    return gristmill.run_batch(
        "python:tests.contract.models:Sizes",
        gristmill.list_files(tmp_path / "images", column_name="image"),
        input_spec={"column_handling": {"image": {"input_format": "full_stage_path", "convert_to": "raw_bytes"}}},  # type: ignore[arg-type]
        output_spec=OutputSpec(location=tmp_path / "out"),
        compute_pool="local",
        job_spec=JobSpec(block=True, on_error=on_error, max_batch_rows=1),
    )


def test_a_failed_job_tells_its_state_its_error_and_the_end_of_its_log(settings: Settings, tmp_path: Path) -> None:
    job = run(tmp_path, on_error="fail")
    with pytest.raises(JobFailedError) as caught:
        outcome_of(job)
    text = str(caught.value)
    assert text.startswith(f"job {job.id!r} is FAILED: ")
    assert "ValueError: not an image" in text
    assert "\nThe end of its log:\n  [runner] " in text


def test_a_done_job_gives_its_manifest_unless_more_rows_failed_than_its_caller_takes(
    settings: Settings, tmp_path: Path
) -> None:
    job = run(tmp_path, on_error="record")
    for limit in (None, 1, 0.5):
        assert outcome_of(job, fail_on_errors=limit).errors == 1
    with pytest.raises(FailedRowsError, match=r"1 of 3 rows failed") as caught:
        outcome_of(job, fail_on_errors=True)
    assert str(tmp_path / "out") in str(caught.value)
    assert "row 1: infer: ValueError: not an image" in str(caught.value)


def test_a_job_that_has_not_ended_well_names_its_state(settings: Settings, tmp_path: Path) -> None:
    job = gristmill.run_batch(
        "echo:",
        pa.table({"id": list(range(100))}),
        output_spec=OutputSpec(location=tmp_path / "out"),
        inference_engine_options={"column": "id", "delay": 0.2},
        job_spec=JobSpec(max_batch_rows=1),
    )
    job.cancel()
    job.wait(240)
    with pytest.raises(JobFailedError, match="is CANCELLED: "):
        outcome_of(job)
