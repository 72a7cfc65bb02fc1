"""The Ray executor: workers are actors, on this machine or on a cluster."""

import importlib.util
import queue
from collections.abc import Sequence
from functools import partial

from gristmill.errors import MissingExtraError
from gristmill.executors.ray_actor import Run, payload
from gristmill.executors.ray_placement import RayPlacement
from gristmill.executors.ray_pump import RayPump, Told
from gristmill.executors.resources import Resources
from gristmill.replica.messages import Command, Event, WorkerSpec
from gristmill.replica.worker import run_worker
from gristmill.settings import PoolSettings

__all__ = ["RayExecutor"]


class RayExecutor:
    """Implements `gristmill.executors.protocol.Executor` with Ray actors.

    A replica is a placement group; its workers are actors that share it. The first replica that is placed starts, and
    others join when there is room for them, which may be never.

    Args:
        pool: where Ray is, or how to start it.
        replicas, num_workers: how many, and how many workers each has.
        cpus, memory, gpus: what one replica asks for; None for one CPU for each worker and nothing else.
        spreads: whether a replica's GPUs may stand on several nodes, for actors that its one worker places there.
        run: the workers' loop.

    Raises:
        SpecError: the workers cannot share the GPUs, or a replica that spreads has none.
        MissingExtraError: Ray is not installed.
    """

    def __init__(
        self,
        *,
        pool: PoolSettings,
        replicas: int,
        num_workers: int,
        cpus: float | None,
        memory: int | None,
        gpus: float | None,
        spreads: bool = False,
        run: Run = run_worker,
    ) -> None:
        self._asked = Resources.of_replica(num_workers=num_workers, cpus=cpus, memory=memory, gpus=gpus)
        if spreads:
            self._asked.spread()
        if importlib.util.find_spec("ray") is None:
            raise MissingExtraError.of("ray", "ray", need="a pool of kind 'ray'")
        self._pool = pool
        self._replicas = replicas
        self._num_workers = num_workers
        self._spreads = spreads
        self._run = run
        self._events: queue.SimpleQueue[Told] = queue.SimpleQueue()
        self._failure: Exception | None = None
        self._pump: RayPump | None = None

    def start(self, spec: WorkerSpec, *, workers: int) -> None:
        """Begin to connect and to place; `poll` tells what comes of it."""
        assert workers == self._replicas * self._num_workers
        self._pump = RayPump(
            self._pool,
            lambda: RayPlacement(
                self._asked, replicas=self._replicas, num_workers=self._num_workers, spreads=self._spreads
            ),
            workers=workers,
            content=payload(self._run, spec),
            sys_path=spec.sys_path,
            tell=self._events.put,
        )
        self._pump.start()

    def send(self, worker: int, command: Command) -> None:
        """Send a command to an actor."""
        assert self._pump is not None
        self._pump.ask(partial(self._pump.send, worker, command))

    def restart(self, worker: int) -> None:
        """Make a new actor for a worker."""
        assert self._pump is not None
        self._pump.ask(partial(self._pump.launch, worker))

    def poll(self, timeout: float) -> Sequence[tuple[int, Event]]:
        """All events that have come."""
        found: list[tuple[int, Event]] = []
        wait = max(0.0, timeout)
        while self._failure is None:
            try:
                told = self._events.get(timeout=wait) if wait > 0 else self._events.get_nowait()
            except queue.Empty:
                return found
            if isinstance(told, Exception):
                self._failure = told
            else:
                found += told
            wait = 0.0
        if found:
            return found
        raise self._failure

    def close(self) -> None:
        """Kill the actors and give back what they held; a Ray that was started here goes on ending behind this."""
        if self._pump is not None:
            self._pump.close()

    @property
    def dashboard(self) -> str | None:
        """The address of Ray's dashboard; none until Ray has answered."""
        return None if self._pump is None else self._pump.dashboard
