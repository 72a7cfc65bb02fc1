"""What a job's handle says of runs that wait on a cluster, of deleted jobs, and of logs."""

import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

import gristmill
from gristmill.errors import JobNotFoundError, SpecError
from gristmill.jobs.cluster import ClusterClient
from gristmill.runner.logs import LogWriter
from gristmill.settings import PoolSettings, Settings
from gristmill.spec.enums import JobStatus
from gristmill.storage.storage import Storage
from tests.bench import until
from tests.cluster import Cluster


@pytest.fixture
def job(tmp_path: Path, settings: Settings) -> gristmill.Job:
    """A job that has run."""
    found = gristmill.run_batch(
        "echo:",
        pa.table({"x": [1, 2]}),
        compute_pool="inline",
        output_spec=gristmill.OutputSpec(location=tmp_path / "out", mode="overwrite"),
        settings=settings,
    )
    assert found.wait(240) is JobStatus.DONE, found.message
    return found


def begin_silent_run(job: gristmill.Job, address: str, submission_id: str) -> None:
    """A run on a cluster that was claimed an hour ago and has not been heard of since."""
    first = job._record.latest()
    assert first is not None
    claim = replace(first.claim(), address=address, submission_id=submission_id, process={})
    assert job._record.claim(replace(claim, claimed=time.time() - 3600), after=first.generation)


def test_a_run_that_a_cluster_keeps_waiting_is_alive_and_can_be_cancelled(
    job: gristmill.Job, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", cluster.token)
    begin_silent_run(job, cluster.address, f"{job.id}-2")
    ClusterClient(cluster.address).submit("sleep 600", submission_id=f"{job.id}-2")
    until(lambda: job.status is JobStatus.PENDING, "the cluster does not tell of it")  # it has 5 s for each answer
    job.cancel()
    assert job.wait(240) is JobStatus.CANCELLED
    assert ClusterClient(cluster.address).status(f"{job.id}-2").status is JobStatus.CANCELLED


def test_the_cluster_is_asked_with_the_pools_token(
    job: gristmill.Job, cluster: Cluster, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "another")
    client = ClusterClient(cluster.address, token=cluster.token)
    begin_silent_run(job, cluster.address, f"{job.id}-2")
    client.submit("sleep 600", submission_id=f"{job.id}-2")
    assert job.status is JobStatus.INTERNAL_ERROR
    pool = PoolSettings(kind="ray", address=cluster.address, token=cluster.token)
    known = gristmill.get_job(job.id, settings=settings.model_copy(update={"pools": {"far": pool}}))
    until(lambda: known.status is JobStatus.PENDING, "the cluster does not tell of it")
    known.cancel()
    assert known.wait(240) is JobStatus.CANCELLED
    assert client.status(f"{job.id}-2").status is JobStatus.CANCELLED


def test_a_silent_run_is_gone_where_no_cluster_answers(job: gristmill.Job) -> None:
    begin_silent_run(job, "http://127.0.0.1:9", "any")
    assert job.status is JobStatus.INTERNAL_ERROR
    job.cancel()
    assert job.status is JobStatus.CANCELLED


def test_a_deleted_job_says_that_it_was_deleted(job: gristmill.Job, settings: Settings) -> None:
    gristmill.delete_job(job, settings=settings)
    with pytest.raises(JobNotFoundError, match="was deleted"):
        job.cancel()
    with pytest.raises(JobNotFoundError, match="was deleted"):
        job.get_logs()


def test_instances_are_in_natural_order_and_an_unknown_one_is_refused(job: gristmill.Job, settings: Settings) -> None:
    run = job._record.latest()
    assert run is not None
    logs = LogWriter(Storage(settings), run.logs)
    for number in (10, 2, 0):
        logs.write(f"worker-{number}", f"line of {number}\n")
    logs.flush()
    lines = job.get_logs(as_list=True, verbose=True)
    assert [line for line in lines if "line of" in line] == [f"[worker-{n}] line of {n}" for n in (0, 2, 10)]
    assert job.get_logs(instance_id=10) == "line of 10"
    with pytest.raises(SpecError, match="worker-0, worker-2, worker-10"):
        job.get_logs(instance_id=7)


def test_a_flood_of_output_is_cut_and_the_log_says_so(job: gristmill.Job, settings: Settings) -> None:
    run = job._record.latest()
    assert run is not None
    logs = LogWriter(Storage(settings), run.logs)
    for _ in range(10):
        logs.write("worker-5", "x" * 1024**2)
    logs.flush()
    logs.write("worker-5", "after\n")
    logs.flush()
    text = job.get_logs(instance_id=5)
    assert isinstance(text, str)
    assert text.count("x") == 8 * 1024**2
    assert text.endswith(f"\n[{2 * 1024**2} characters dropped: more than the log takes at once]\nafter")
