"""The client of Ray's Jobs API against a real cluster, and against ports where none is."""

import json
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gristmill.errors import AccessError, JobNotFoundError, JobStateError, PlacementError, SpecError
from gristmill.jobs.cluster import ClusterClient, Submission, cluster_at
from gristmill.settings import PoolSettings, Settings
from gristmill.spec.enums import JobStatus
from tests.cluster import Cluster

LIMIT = 90.0


@pytest.fixture
def client(cluster: Cluster) -> ClusterClient:
    return ClusterClient(cluster.address, token=cluster.token)


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which nobody answers, nor can during the test."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def _id() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


def _until(client: ClusterClient, submission_id: str, *wanted: JobStatus) -> Submission:
    deadline = time.monotonic() + LIMIT
    while (found := client.status(submission_id)).status not in wanted:
        assert time.monotonic() < deadline, f"{found} after {LIMIT} s"
        time.sleep(0.1)
    return found


def test_a_command_runs_with_its_environment_and_its_logs_can_be_read(client: ClusterClient):
    submission_id = _id()
    client.submit(
        "echo hello $WHO",
        submission_id=submission_id,
        runtime_env={"env_vars": {"WHO": "miller"}},
        metadata={"job": "x"},
    )
    assert _until(client, submission_id, JobStatus.DONE, JobStatus.FAILED).status is JobStatus.DONE
    assert client.is_alive(submission_id) is False
    assert "hello miller" in client.logs(submission_id)


def test_submitting_again_starts_nothing(client: ClusterClient, tmp_path: Path):
    submission_id = _id()
    for _ in range(3):
        client.submit(f"echo once >> {tmp_path}/ran; sleep 1", submission_id=submission_id)
    _until(client, submission_id, JobStatus.DONE)
    client.submit(f"echo once >> {tmp_path}/ran", submission_id=submission_id)
    assert (tmp_path / "ran").read_text() == "once\n"


def test_clients_that_submit_at_once_start_it_at_most_once(client: ClusterClient, tmp_path: Path):
    submission_id = _id()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: client.submit(f"echo once >> {tmp_path}/ran", submission_id=submission_id), range(4)))
    _until(client, submission_id, JobStatus.DONE)
    assert (tmp_path / "ran").read_text() == "once\n"


def test_a_command_that_fails_is_failed_and_says_so(client: ClusterClient):
    submission_id = _id()
    client.submit("exit 3", submission_id=submission_id)
    found = _until(client, submission_id, JobStatus.DONE, JobStatus.FAILED)
    assert found.status is JobStatus.FAILED
    assert "3" in found.message


def test_a_running_job_can_be_stopped_and_only_then_deleted(client: ClusterClient):
    submission_id = _id()
    client.submit("sleep 600", submission_id=submission_id)
    _until(client, submission_id, JobStatus.RUNNING)
    assert client.is_alive(submission_id) is True
    with pytest.raises(JobStateError, match="stop it"):
        client.delete(submission_id)
    client.stop(submission_id)
    _until(client, submission_id, JobStatus.CANCELLED)
    client.stop(submission_id)  # has ended already
    client.delete(submission_id)
    with pytest.raises(JobNotFoundError, match=submission_id):
        client.status(submission_id)
    client.delete(submission_id)  # is gone already


def test_a_job_that_the_cluster_does_not_know(client: ClusterClient):
    for ask in (client.status, client.logs, client.stop):
        with pytest.raises(JobNotFoundError, match="no-such-job"):
            ask("no-such-job")
    assert client.is_alive("no-such-job") is None


def test_a_request_that_cannot_be_is_refused_at_once(client: ClusterClient):
    with pytest.raises(SpecError, match=rf"{client.address} refuses .*metadata"):
        client.submit("true", submission_id=_id(), metadata={"one": 1})  # type: ignore[dict-item]


def test_a_runtime_environment_that_cannot_be_fails_the_job_and_says_so(client: ClusterClient):
    submission_id = _id()
    client.submit("true", submission_id=submission_id, runtime_env={"working_dir": "/no/such/folder.zip"})
    found = _until(client, submission_id, JobStatus.DONE, JobStatus.FAILED)
    assert found.status is JobStatus.FAILED
    assert "/no/such/folder.zip" in found.message


def test_a_client_without_the_token_is_told_how_to_give_it(cluster: Cluster):
    stranger = ClusterClient(cluster.address, token="wrong")
    with pytest.raises(AccessError, match="RAY_AUTH_TOKEN"):
        stranger.submit("true", submission_id=_id())
    assert stranger.is_alive("any") is None


def test_the_token_is_taken_from_where_ray_takes_it(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(AccessError):
        ClusterClient(cluster.address).status("any")
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text(f"{cluster.token}\n")
    with pytest.raises(JobNotFoundError):
        ClusterClient(cluster.address).status("any")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "another")
    with pytest.raises(AccessError):
        ClusterClient(cluster.address).status("any")


def test_the_token_of_the_pool_with_the_address_goes_before_rays(cluster: Cluster, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "another")
    other = PoolSettings(kind="ray", address="http://127.0.0.1:9", token="another")
    same = PoolSettings(kind="ray", address=f"{cluster.address}/", token=f"{cluster.token}\n")
    settings = Settings(pools={"other": other, "same": same})
    assert cluster_at(settings, cluster.address).ray_version()
    with pytest.raises(AccessError, match="give the pool its token"):
        cluster_at(Settings(pools={"other": other}), cluster.address).ray_version()


def test_a_token_is_shown_by_neither_repr_nor_error_nor_dump():
    pool = PoolSettings(kind="ray", address="http://127.0.0.1:9", token="hunter2")
    assert "hunter2" not in f"{pool!r} {pool.model_dump_json()} {pool.model_dump()}"
    with pytest.raises(SpecError, match="token: holds a line break") as caught:
        PoolSettings(kind="ray", address="http://127.0.0.1:9", token="hunter2 hunter3")
    assert "hunter2" not in str(caught.value)


def test_an_address_where_nobody_answers_is_named(nobody: str):
    client = ClusterClient(nobody, patience=0.5)
    with pytest.raises(PlacementError, match=f"{nobody} took no job within 0.5 s"):
        client.submit("true", submission_id="x")
    with pytest.raises(PlacementError, match=f"{nobody} does not answer"):
        client.status("x")
    assert client.is_alive("x") is None


def test_the_client_needs_no_ray():
    code = "import sys, gristmill.jobs.cluster as c; c.ClusterClient('http://x'); print('ray' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


RUNNER = """
import json
from gristmill.executors.ray import RayExecutor
from gristmill.replica.messages import Ready
from gristmill.settings import PoolSettings
from tests.executors import loops

pool = PoolSettings(kind="ray", address={address!r})
executor = RayExecutor(pool=pool, replicas=2, num_workers=1, cpus=0.5, memory=None, gpus=None, run=loops.echo)
executor.start(loops.worker_spec(), workers=2)
ready = 0
while ready < 2:
    ready += sum(isinstance(event, Ready) for _, event in executor.poll(1))
import ray
print(json.dumps({{"cpus": ray.cluster_resources()["CPU"], "dashboard": executor.dashboard}}))
executor.close()
"""


def test_a_runner_that_is_a_job_of_the_cluster_places_its_workers_there(
    client: ClusterClient, cluster: Cluster, tmp_path: Path
):
    script = tmp_path / "runner.py"
    script.write_text(RUNNER.format(address=cluster.address))
    submission_id = _id()
    root = str(Path(__file__).parents[2])
    client.submit(
        f"{sys.executable} {script}", submission_id=submission_id, runtime_env={"env_vars": {"PYTHONPATH": root}}
    )
    found = _until(client, submission_id, JobStatus.DONE, JobStatus.FAILED)
    logs = client.logs(submission_id)
    assert found.status is JobStatus.DONE, logs
    told = json.loads(next(line for line in logs.splitlines() if line.startswith("{")))
    assert told == {"cpus": 2.0, "dashboard": cluster.address}
