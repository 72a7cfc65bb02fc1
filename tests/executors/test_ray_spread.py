"""A replica that is larger than a node: its GPUs stand on several, and its engine places its own actors on them."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.util import placement_group_table

from gristmill.errors import PlacementError, SpecError
from gristmill.executors.ray import RayExecutor
from gristmill.replica.messages import Died, Event, Log, Ready
from gristmill.settings import PoolSettings
from tests.executors import loops

STORE = 80 * 1024**2
LIMIT = 90.0

Make = Callable[..., RayExecutor]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A head without room for workers, and two nodes with a GPU each."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": STORE})
    ray.init(address=cluster.address, log_to_driver=False)
    for _ in range(2):
        cluster.add_node(num_cpus=1, num_gpus=1, object_store_memory=STORE)
    cluster.wait_for_nodes(timeout=LIMIT)
    yield
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def make(cluster: None) -> Iterator[Make]:
    """Start executors with one replica of two GPUs; when they are closed all GPUs must be free again."""
    begun: list[RayExecutor] = []

    def begin(*, spreads: bool, timeout: float = 60.0) -> RayExecutor:
        executor = RayExecutor(
            pool=PoolSettings(kind="ray", placement_timeout=timeout),
            replicas=1, num_workers=1, cpus=2, memory=None, gpus=2, spreads=spreads, run=loops.placing,
        )  # fmt: skip
        begun.append(executor)
        executor.start(loops.worker_spec(), workers=1)
        return executor

    yield begin
    for executor in begun:
        executor.close()
    deadline = time.monotonic() + LIMIT
    while (free := ray.available_resources()).get("GPU") != 2 or free.get("CPU") != 2:
        assert time.monotonic() < deadline, f"not given back: {free}"
        time.sleep(0.05)
    assert {group["state"] for group in placement_group_table().values()} <= {"REMOVED"}


def _until(executor: RayExecutor, kind: type) -> list[Event]:
    deadline = time.monotonic() + LIMIT
    found: list[Event] = []
    while not any(isinstance(event, kind) for event in found):
        assert time.monotonic() < deadline, f"{found} within {LIMIT} s"
        found += [event for _, event in executor.poll(0.5)]
    return found


def _told(executor: RayExecutor) -> dict[str, Any]:
    """What the worker told of its placement group."""
    logs = [event.text for event in _until(executor, Ready) if isinstance(event, Log)]
    told: dict[str, Any] = json.loads(logs[-1])
    return told


def test_a_replica_that_fits_on_no_node_is_refused(make: Make):
    executor = make(spreads=False, timeout=1.0)
    with pytest.raises(PlacementError, match="A replica must fit on one node"):
        _until(executor, Ready)


def test_a_replica_that_spreads_has_a_bundle_on_each_gpu_and_takes_none_itself(make: Make):
    told = _told(make(spreads=True))
    assert told["bundles"] == [{"CPU": 1.0, "GPU": 1.0}] * 2
    assert len(set(told["nodes"])) == 2


def test_what_a_dead_worker_left_in_its_group_makes_room_for_the_next_one(make: Make):
    executor = make(spreads=True)
    first = _told(executor)
    os.kill(first["pid"], signal.SIGKILL)
    _until(executor, Died)
    executor.restart(0)
    second = _told(executor)
    assert second["pid"] != first["pid"]
    assert sorted(second["nodes"]) == sorted(first["nodes"])


def test_a_replica_that_spreads_without_gpus_is_refused_before_anything_starts():
    with pytest.raises(SpecError, match="ask for whole GPUs"):
        RayExecutor(
            pool=PoolSettings(kind="ray"), replicas=1, num_workers=1, cpus=None, memory=None, gpus=None, spreads=True
        )
