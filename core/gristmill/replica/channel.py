"""The channel protocol: how a worker hears commands and tells events, whatever carries them."""

from typing import Protocol

from gristmill.replica.messages import Command, Event

__all__ = ["Channel"]


class Channel(Protocol):
    """A worker's end of its connection to the runner."""

    def receive(self) -> Command:
        """The next command; waits for it. `Stop` when the runner is gone."""
        ...

    def send(self, event: Event, *, sure: bool = False) -> None:
        """Tell an event; safe from several threads.

        Args:
            event: what to tell.
            sure: return only when the event will reach the runner even if this process dies right after.
        """
        ...
