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
        spreads: whether a replica may stand on several nodes, as few as can be. It then has a bundle for each GPU, and
            its one worker takes none of them: they are for actors that the worker's engine places in the group.
    """

    def __init__(self, asked: Resources, *, replicas: int, num_workers: int, spreads: bool = False) -> None:
        self._asked = asked
        self._num_workers = num_workers
        self._shares = asked.spread() if spreads else [asked]
        self._spreads = spreads
        self._groups = [self._reserve() for _ in range(replicas)]
        self._used: set[int] = set()

    def _reserve(self) -> Any:
        from ray.util import placement_group

        return placement_group([share.bundle() for share in self._shares], strategy="PACK")

    def _state(self, replica: int) -> str:
        from ray.util import placement_group_table

        return str(placement_group_table(self._groups[replica]).get("state", "REMOVED"))

    def is_placed(self, worker: int) -> bool:
        """Whether a worker's replica has its resources."""
        return self._state(worker // self._num_workers) == "CREATED"

    def actor(self, worker: int, content: bytes, sys_path: tuple[str, ...]) -> Any:
        """A new actor for a worker; it starts once its replica is placed.

        A replica that has lost its node is placed anew by Ray itself; a group that somebody removed is made anew here.
        So is that of a replica that spreads: what is left of the engine of its dead worker ends with the old one.
        """
        import ray
        from ray.util import remove_placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        replica = worker // self._num_workers
        if self._spreads and replica in self._used:
            remove_placement_group(self._groups[replica])
            self._groups[replica] = self._reserve()
        elif self._state(replica) == "REMOVED":
            self._groups[replica] = self._reserve()
        self._used.add(replica)
        share = self._shares[0].of_worker(self._num_workers)
        options: dict[str, Any] = {"num_cpus": share.cpus, "num_gpus": 0 if self._spreads else share.gpus}
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
            .remote(content, sys_path, worker)
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
            f" {'Each GPU has an equal share of it, which' if self._spreads else 'A replica'} must fit on one node:"
            " ask for less (cpu_requests, gpu_requests, memory_requests, num_workers),"
            " free or add resources, or raise the pool's placement_timeout"
        )

    def release(self) -> None:
        """Give back everything, placed or not; actors in it die."""
        from ray.util import remove_placement_group

        for group in self._groups:
            remove_placement_group(group)


def _amounts(named: Mapping[str, float]) -> Resources:
    return Resources(named.get("CPU", 0.0), named.get("GPU", 0.0), int(named.get("memory", 0)))
