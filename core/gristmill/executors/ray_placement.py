"""Where workers run on Ray: a placement group for each replica, and actors in it."""

from collections.abc import Mapping
from typing import Any

from gristmill.errors import PlacementError
from gristmill.executors.ray_actor import RayWorker
from gristmill.executors.resources import Resources

__all__ = ["RayPlacement"]

_CALLS = 4
"""Exchanges that may be at a worker at once: one waits, one displaces it, and some are on their way."""


class RayPlacement:
    """The placement groups of a job's replicas. Needs a connection to Ray.

    Args:
        asked: what one replica asks for.
        replicas: how many.
        num_workers: the workers of one replica, which share it evenly.
    """

    def __init__(self, asked: Resources, *, replicas: int, num_workers: int) -> None:
        self._asked = asked
        self._num_workers = num_workers
        self._groups = [self._reserve() for _ in range(replicas)]

    def _reserve(self) -> Any:
        from ray.util import placement_group

        return placement_group([self._asked.bundle()], strategy="PACK")

    def _state(self, replica: int) -> str:
        from ray.util import placement_group_table

        return str(placement_group_table(self._groups[replica]).get("state", "REMOVED"))

    def is_placed(self, worker: int) -> bool:
        """Whether a worker's replica has its resources."""
        return self._state(worker // self._num_workers) == "CREATED"

    def actor(self, worker: int, content: bytes, sys_path: tuple[str, ...]) -> Any:
        """A new actor for a worker; it starts once its replica is placed.

        A replica that has lost its node is placed anew by Ray itself; a group that somebody removed is made anew here.
        """
        import ray
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        replica = worker // self._num_workers
        if self._state(replica) == "REMOVED":
            self._groups[replica] = self._reserve()
        share = self._asked.of_worker(self._num_workers)
        options: dict[str, Any] = {"num_cpus": share.cpus, "num_gpus": share.gpus}
        if share.memory:
            options["memory"] = share.memory
        return (
            ray.remote(RayWorker)
            .options(
                **options,
                max_restarts=0,
                max_task_retries=0,
                max_concurrency=_CALLS,
                scheduling_strategy=PlacementGroupSchedulingStrategy(self._groups[replica], 0),
            )
            .remote(content, sys_path)
        )

    def refusal(self, timeout: float) -> PlacementError:
        """The error that says what was asked and what there is."""
        import ray

        total, free = ray.cluster_resources(), ray.available_resources()
        most = [_amounts(node["Resources"]) for node in ray.nodes() if node["Alive"]]
        nodes = "; ".join(sorted(str(node) for node in most)) or "none"
        return PlacementError(
            f"no replica could be placed within {timeout:g} s: one replica asks for {self._asked};"
            f" the cluster has {_amounts(total)} in all, of which {_amounts(free)} are free; its nodes: {nodes}."
            " A replica must fit on one node: ask for less (cpu_requests, gpu_requests, memory_requests, num_workers),"
            " free or add resources, or raise the pool's placement_timeout"
        )

    def release(self) -> None:
        """Give back everything, placed or not; actors in it die."""
        from ray.util import remove_placement_group

        for group in self._groups:
            remove_placement_group(group)


def _amounts(named: Mapping[str, float]) -> Resources:
    return Resources(named.get("CPU", 0.0), named.get("GPU", 0.0), int(named.get("memory", 0)))
