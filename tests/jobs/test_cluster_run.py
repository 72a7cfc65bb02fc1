"""Whole jobs on a cluster by its address: submitted over HTTP, run there, read here."""

import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gristmill
from gristmill import JobSpec, JobStatus, OutputSpec, PoolSettings, Settings
from gristmill.jobs.cluster import ClusterClient
from tests.cluster import Cluster


@pytest.fixture
def on_cluster(cluster: Cluster, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with the cluster as a pool."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", cluster.token)
    pools = {"cluster": PoolSettings(kind="ray", address=cluster.address)}
    return settings.model_copy(update={"pools": pools, "default_pool": "cluster"})


def submit(settings: Settings, root: Path, **echo: object) -> gristmill.Job:
    source = root / "input"
    if not source.exists():
        source.mkdir()
        pq.write_table(pa.table({"id": range(400)}), source / "rows.parquet")
    return gristmill.run_batch(
        "echo:",
        input_location=source,
        output_spec=OutputSpec(location=root / "out", mode="overwrite"),
        job_spec=JobSpec(job_name="far", replicas=2, max_batch_rows=10),
        inference_engine_options={"column": "id", **echo},
        settings=settings,
    )


def test_a_job_runs_on_the_cluster_and_its_output_is_here(on_cluster: Settings, tmp_path: Path) -> None:
    job = submit(on_cluster, tmp_path)
    assert job.wait(120) is JobStatus.DONE, job.message
    rows = gristmill.read_output(tmp_path / "out", settings=on_cluster)
    assert rows["echo"].to_pylist() == list(range(400))
    assert job.get_ray_dashboard_url() == on_cluster.pools["cluster"].address
    assert job.target_instances == 2
    assert submit(on_cluster, tmp_path).id == job.id
    run = job._record.latest()
    assert run is not None
    submission = run.claim().submission_id
    gristmill.delete_job(job, settings=on_cluster)
    with pytest.raises(gristmill.GristmillError, match=str(submission)):
        ClusterClient(str(on_cluster.pools["cluster"].address)).status(str(submission))


def test_a_pools_token_is_all_that_a_job_on_the_cluster_needs_and_stands_in_no_record(
    cluster: Cluster, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    pool = PoolSettings(kind="ray", address=cluster.address, token=cluster.token)
    mine = settings.model_copy(update={"pools": {"cluster": pool}, "default_pool": "cluster"})
    job = submit(mine, tmp_path)
    assert job.wait(120) is JobStatus.DONE, job.message
    run = job._record.latest()
    assert run is not None
    client = ClusterClient(cluster.address, token=cluster.token)
    told = client._ask("GET", client._path(str(run.claim().submission_id)))
    assert "GRISTMILL_POOLS" in told["runtime_env"]["env_vars"]
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    assert not [text for text in (*written, str(told).encode()) if cluster.token.encode() in text]
    gristmill.delete_job(job, settings=mine)


def test_a_job_on_the_cluster_is_cancelled_and_resumed(on_cluster: Settings, tmp_path: Path) -> None:
    calls = str(tmp_path / "calls")
    job = submit(on_cluster, tmp_path, delay=0.4, log=calls)
    deadline = time.monotonic() + 120
    while not list(Path(calls).glob("*")):
        assert time.monotonic() < deadline, job.message
        time.sleep(0.1)
    job.cancel()
    assert job.wait(240) is JobStatus.CANCELLED
    again = submit(on_cluster, tmp_path, delay=0.4, log=calls)
    assert again.id == job.id
    assert again.wait(120) is JobStatus.DONE, again.message
    assert gristmill.read_output(tmp_path / "out", settings=on_cluster)["echo"].to_pylist() == list(range(400))
