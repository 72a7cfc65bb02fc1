"""The executor protocol: workers are started somewhere, and messages go back and forth.

The runner's coordinator knows workers as numbers, 0 to `workers` - 1. An executor starts them, carries commands to them
and events from them, and tells when one has died. It decides nothing.
"""

from collections.abc import Sequence
from typing import Protocol

from gristmill.replica.messages import Command, Event, WorkerSpec

__all__ = ["Executor"]


class Executor(Protocol):
    """Where workers run."""

    def start(self, spec: WorkerSpec, *, workers: int) -> None:
        """Start all workers; returns before they are ready."""
        ...

    def send(self, worker: int, command: Command) -> None:
        """Send a command; to a worker that has died it is dropped."""
        ...

    def poll(self, timeout: float) -> Sequence[tuple[int, Event]]:
        """The events that have come, oldest first, waiting up to `timeout` seconds for the first.

        Every event a worker sent before its death comes before its `Died`.

        Raises:
            PlacementError: no worker could be placed in time.
        """
        ...

    def restart(self, worker: int) -> None:
        """Start a worker that has died again."""
        ...

    def close(self) -> None:
        """End all workers at once and free what they hold."""
        ...

    @property
    def dashboard(self) -> str | None:
        """The address of a page that shows the workers, if there is one."""
        ...
