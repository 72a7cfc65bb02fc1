"""The pump: the one thread of a runner that talks to Ray.

It waits in a queue for what the coordinator asks and for the replies of workers. Nothing polls, so an idle job costs
nothing; and what has piled up while it was busy travels together.
"""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from gristmill.executors.mailbox import Reply
from gristmill.executors.ray_link import RayLink
from gristmill.executors.ray_placement import RayPlacement
from gristmill.executors.ray_session import RaySession
from gristmill.replica.messages import Command, Died, Event
from gristmill.settings import PoolSettings

__all__ = ["RayPump", "Told"]

Told = list[tuple[int, Event]] | Exception
"""What a pump tells: events with their workers, or why it has ended."""

_CLOSE_SECONDS = 25.0


class RayPump(threading.Thread):
    """Carries messages between a coordinator and actors.

    Args:
        pool: where Ray is, or how to start it.
        place: reserves the places of all workers, once Ray is there.
        workers: how many.
        content, sys_path: what actors are made from.
        tell: hears events; safe from several threads.
    """

    def __init__(
        self,
        pool: PoolSettings,
        place: Callable[[], RayPlacement],
        *,
        workers: int,
        content: bytes,
        sys_path: tuple[str, ...],
        tell: Callable[[Told], None],
    ) -> None:
        super().__init__(name="ray-pump", daemon=True)
        self.dashboard: str | None = None
        self._pool = pool
        self._place = place
        self._workers = workers
        self._content = content
        self._sys_path = sys_path
        self._tell = tell
        self._asked: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._links: dict[int, RayLink] = {}
        self._changed: set[int] = set()
        self._placement: RayPlacement | None = None
        self._deadline: float | None = None
        self._closing = threading.Event()
        self._released = threading.Event()

    # for other threads

    def ask(self, action: Callable[[], None]) -> None:
        """Have something done by this thread."""
        self._asked.put(action)

    def close(self) -> None:
        """End; returns when the actors are killed."""
        self._closing.set()
        self.ask(lambda: None)
        self._released.wait(_CLOSE_SECONDS)

    # for this thread

    def run(self) -> None:
        """Connect, place, and carry messages until closed."""
        session: RaySession | None = None
        try:
            session = RaySession(self._pool)
            self.dashboard = session.dashboard
            self._placement = self._place()
            for worker in range(self._workers):
                self.launch(worker)
            while not self._closing.is_set():
                self._turn()
        except Exception as error:  # noqa: BLE001 - raised by poll
            self._tell(error)
        finally:
            try:
                self._release()
            finally:
                self._released.set()
                if session is not None:
                    session.close()

    def _release(self) -> None:
        import ray

        if self._placement is None or not ray.is_initialized():
            return
        for link in self._links.values():
            if not link.dead:
                ray.kill(link.actor)
        self._placement.release()

    def launch(self, worker: int) -> None:
        """Make a worker's actor."""
        assert self._placement is not None
        self._links[worker] = RayLink(self._placement.actor(worker, self._content, self._sys_path))
        self._changed.add(worker)
        if self._deadline is None:
            self._deadline = time.monotonic() + self._pool.placement_timeout

    def send(self, worker: int, command: Command) -> None:
        """Have a command carried by the next call."""
        link = self._links.get(worker)
        if link is not None and link.reason is None:
            link.outbox.append(command)
            self._changed.add(worker)

    def _turn(self) -> None:
        """Do all that is asked by now, then make the calls that this calls for."""
        try:
            if not self._changed:
                wait = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
                self._asked.get(timeout=wait)()
            while True:
                self._asked.get_nowait()()
        except queue.Empty:
            pass
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._judge_placement()
        for worker in self._changed:
            link = self._links[worker]
            if link.wants_call():
                link.call().add_done_callback(partial(self._returned, worker, link))
        self._changed.clear()

    def _returned(self, worker: int, link: RayLink, _: "Future[Reply]") -> None:
        """Runs in one of Ray's threads."""
        self.ask(partial(self._collect, worker, link))

    def _collect(self, worker: int, link: RayLink) -> None:
        if link.dead:
            return
        told: list[tuple[int, Event]] = [(worker, event) for event in link.collect()]
        if link.reason is not None:
            self._kill(link)
        if link.dead:
            told.append((worker, Died(link.reason or "")))
        else:
            self._changed.add(worker)
        if told:
            self._tell(told)

    @staticmethod
    def _kill(link: RayLink) -> None:
        """Make sure that nothing of a dying actor goes on; its calls then return, and its resources are free."""
        import ray

        ray.kill(link.actor)

    def _judge_placement(self) -> None:
        """Some worker must have its place by now, or the job cannot begin."""
        assert self._placement is not None
        alive = [worker for worker, link in self._links.items() if not link.dead]
        if alive and not any(self._placement.is_placed(worker) for worker in alive):
            raise self._placement.refusal(self._pool.placement_timeout)
        self._deadline = None
