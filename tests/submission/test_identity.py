"""A job's identity: the same key asks for the same job, whatever its name."""

from pathlib import Path

import pyarrow as pa
import pytest

import gristmill
from gristmill import JobSpec, JobStatus, OutputSpec, Settings
from gristmill.submission.identity import job_name


@pytest.mark.parametrize("form", ["location", "base_location"])
@pytest.mark.parametrize("prefix", [None, "nightly"])
def test_a_key_without_a_name_comes_back_to_its_job(
    settings: Settings, tmp_path: Path, form: str, prefix: str | None
) -> None:
    def attempt(key: str) -> gristmill.Job:
        return gristmill.run_batch(
            "echo:",
            pa.table({"id": [1, 2]}),
            output_spec=OutputSpec(**{form: tmp_path / "out"}, mode="overwrite"),
            job_spec=JobSpec(job_name_prefix=prefix, block=True),
            compute_pool="inline",
            inference_engine_options={"column": "id"},
            key=key,
        )

    first = attempt("dag/task 1")
    assert first.status is JobStatus.DONE, first.message
    assert first.id.startswith("nightly-dag-task-1-" if prefix else "dag-task-1-")
    assert attempt("dag/task 1").id == first.id
    assert attempt("dag/task-1").id != first.id
    if form == "base_location":
        assert len(list((tmp_path / "out").iterdir())) == 2


@pytest.mark.parametrize("key", ["é/ü", "", "/", "x" * 5000, "-.-a", "a\nb", "\ud800"])
def test_a_name_from_a_key_is_a_name(key: str) -> None:
    name = job_name(JobSpec(), key)
    assert JobSpec(job_name=name).job_name == name
    assert len(name) <= 70


def test_without_a_key_names_are_new_every_time() -> None:
    assert job_name(JobSpec()) != job_name(JobSpec())
