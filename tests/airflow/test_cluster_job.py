"""A task whose job runs on a Ray cluster, which the worker knows by its address alone."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.airflow.in_process import Run
from tests.cluster import Cluster, running_cluster

import gristmill


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One of its own: that of all tests would run beside whatever comes between."""
    with running_cluster() as running:
        yield running


@pytest.mark.parametrize("dag_id", ["batch_sync", "batch_deferred"])
def test_a_connection_sends_jobs_to_its_cluster_and_the_task_links_to_its_dashboard(
    run_dag, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dag_id: str
):
    (tmp_path / "input").mkdir()
    pq.write_table(pa.table({"id": range(100)}), tmp_path / "input" / "a.parquet")
    connection = {
        "conn_type": "gristmill",
        "host": cluster.address,
        "password": cluster.token,
        "extra": {"home": str(tmp_path / "shared-home")},
    }
    monkeypatch.setenv("AIRFLOW_CONN_GRISTMILL_DEFAULT", json.dumps(connection))
    run: Run = run_dag(dag_id, conf={"input": str(tmp_path / "input"), "output": str(tmp_path / "out")})
    assert run.state == "success", run.log
    assert gristmill.read_output(tmp_path / "out")["echo"].to_pylist() == list(range(100))
    job = gristmill.get_job(run.xcom("score")["job"], settings=gristmill.Settings(home=str(tmp_path / "shared-home")))
    assert job.compute_pool == "cluster"
    assert run.xcom("score", key="_link_RayDashboardLink") == cluster.address
    assert run.xcom("score", key="_link_OutputLink") == f"file://{tmp_path}/out"
    assert cluster.token not in run.log
    for file in (tmp_path / "shared-home").rglob("*"):
        assert not file.is_file() or cluster.token.encode() not in file.read_bytes()
