"""A node of a Ray cluster is killed: its workers are told dead, and their replica is placed on another node."""

import time
from collections.abc import Iterator

import pytest
import ray
from ray.cluster_utils import Cluster

from gristmill.executors.ray import RayExecutor
from gristmill.replica.messages import Died, Event, Ready
from gristmill.settings import PoolSettings
from tests.executors import loops

STORE = 80 * 1024**2
LIMIT = 90.0


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A cluster whose head has no room for workers, and which notices a dead node within a second or two."""
    noticing = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 3}
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": STORE, "_system_config": noticing},
    )
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def _until(executor: RayExecutor, kind: type, count: int) -> list[tuple[int, Event]]:
    deadline = time.monotonic() + LIMIT
    found: list[tuple[int, Event]] = []
    while len(found) < count:
        assert time.monotonic() < deadline, f"{found} within {LIMIT} s"
        found += [(worker, event) for worker, event in executor.poll(0.5) if isinstance(event, kind)]
    return found


def test_a_replica_that_loses_its_node_is_placed_on_another(cluster: Cluster):
    lost = cluster.add_node(num_cpus=2, object_store_memory=STORE)
    executor = RayExecutor(
        pool=PoolSettings(kind="ray"), replicas=1, num_workers=2, cpus=2, memory=None, gpus=None, run=loops.echo
    )
    try:
        executor.start(loops.worker_spec(), workers=2)
        _until(executor, Ready, 2)
        lost.all_processes["raylet"][0].process.kill()
        died = _until(executor, Died, 2)
        assert sorted(worker for worker, _ in died) == [0, 1]
        cluster.add_node(num_cpus=2, object_store_memory=STORE)
        executor.restart(0)
        executor.restart(1)
        assert sorted(worker for worker, _ in _until(executor, Ready, 2)) == [0, 1]
    finally:
        executor.close()
