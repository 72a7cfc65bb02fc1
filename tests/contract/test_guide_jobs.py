"""Managing jobs as a guide does: listed, found by name, cancelled, deleted, and their logs."""

import time
from pathlib import Path

import pandas as pd
import pytest

from gristmill import (
    JobSpec,
    JobStatus,
    ModelVersion,
    OutputSpec,
    Registry,
    custom_model,
    delete_job,
    get_job,
    list_jobs,
)
from gristmill.errors import JobNotFoundError, JobStateError
from tests.contract.guide import Guide
from tests.contract.guide import guide as guide


class Slow(custom_model.CustomModel):
    """Says that it has begun, and returns when the file that its rows name is there."""

    @custom_model.inference_api(outputs={"done": "bool"})
    def predict(self, df: pd.DataFrame) -> pd.DataFrame:
        print("begun with", len(df), flush=True)  # noqa: T201 - for the logs
        while not all(Path(gate).exists() for gate in df["gate"]):
            time.sleep(0.05)
        return pd.DataFrame({"done": [True] * len(df)})


@pytest.fixture
def mv(guide: Guide) -> ModelVersion:
    return Registry().log_model(Slow(), model_name="slow", version_name="v1")


def test_a_job_is_listed_found_by_name_and_deleted(
    mv: ModelVersion, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gate").touch()
    job = mv.run_batch(
        pd.DataFrame({"gate": [str(tmp_path / "gate")]}),
        compute_pool="CPU_POOL",
        output_spec=OutputSpec(base_stage_location="@my_db.my_schema.my_stage/path/"),
        job_spec=JobSpec(job_name="job_name"),
    )
    print("Job submitted. Waiting for completion...")  # noqa: T201 - as the guide has it
    job.wait()
    assert f"Job completed with status: {job.status}" == "Job completed with status: DONE"

    monkeypatch.delenv("COLUMNS", raising=False)

    # list to see all jobs
    list_jobs().show()
    assert "job_name" in capsys.readouterr().out
    (listed,) = list_jobs().collect()
    assert {"name": "job_name", "status": "DONE", "compute_pool": "CPU_POOL", "target_instances": 1}.items() <= (
        listed.items()
    )

    # get the handle of a job
    job = get_job("job_name")
    assert (job.status, job.location.rpartition("/")[2]) == (JobStatus.DONE, "job_name")
    assert get_job(job.id).name == "job_name"

    # delete a job that you no longer wish to run
    delete_job(job)
    assert job.status is JobStatus.DELETED
    with pytest.raises(JobNotFoundError):
        get_job("job_name")


def test_a_job_says_what_it_does_and_is_cancelled(guide: Guide, mv: ModelVersion, tmp_path: Path) -> None:
    job = mv.run_batch(
        pd.DataFrame({"gate": [str(tmp_path / "gate")] * 3}),
        compute_pool="local",
        output_spec=OutputSpec(stage_location="@my_db.my_schema.my_stage/path/"),
        job_spec=JobSpec(job_name="job_name"),
    )
    # view logs to troubleshoot
    while "begun with 3" not in job.get_logs():
        assert not job.status.is_terminal, job.message
        time.sleep(0.05)
    with pytest.raises(JobStateError, match="cancel"):
        delete_job(job)

    # cancel a job
    job.cancel()

    assert job.wait() is JobStatus.CANCELLED
    assert not list(guide.output.rglob("_SUCCESS"))
    delete_job(job)
    assert not list(guide.output.rglob("*.parquet"))
