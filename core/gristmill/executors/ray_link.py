"""Link: the runner's end of the connection to one actor; see `gristmill.executors.mailbox` for the other."""

import re
from collections import deque
from concurrent.futures import Future
from typing import Any

from gristmill.executors.mailbox import Reply
from gristmill.replica.messages import Command, Event

__all__ = ["RayLink"]


class RayLink:
    """The calls to one actor, in order.

    Attributes:
        actor: the actor.
        outbox: commands for the next call.
        reason: why the actor is dying; None while it lives.
        dead: it is dead, and nothing more will come from it.
    """

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.outbox: list[Command] = []
        self.reason: str | None = None
        self.dead = False
        self._turn = 0
        self._received = 0
        self._acknowledged = 0
        self._calls: deque[Future[Reply]] = deque()

    def wants_call(self) -> bool:
        """Whether a call should be made now: to carry commands, to wait for events, or to say that some have arrived.

        The last is needed where a call was made before the reply to another came: a sender may wait to hear of it.
        """
        is_behind = self._received != self._acknowledged
        return self.reason is None and (bool(self.outbox) or not self._calls or is_behind)

    def call(self) -> "Future[Reply]":
        """Make one call, with all commands in the outbox."""
        future: Future[Reply] = self.actor.exchange.remote(self._turn, self._received, tuple(self.outbox)).future()
        self._turn += 1
        self._acknowledged = self._received
        self.outbox.clear()
        self._calls.append(future)
        return future

    def collect(self) -> list[Event]:
        """The events of the calls that have returned, in order; sets `reason` and `dead`."""
        events: list[Event] = []
        while self._calls and self._calls[0].done():
            call = self._calls.popleft()
            error = call.exception()
            if error is not None:
                self.reason = self.reason or _reason(error)
                continue
            reply = call.result()
            if reply.first == self._received:  # after a loss, what follows the gap is not told: it will be done again
                events += reply.events
                self._received += len(reply.events)
            if reply.ended is not None:
                self.reason = reply.ended
        self.dead = self.reason is not None and not self._calls
        return events


def _reason(error: BaseException) -> str:
    """A line from Ray's page about a death."""
    text = str(error)
    found = re.search(r"The actor (?:is dead|died) because (.*)", text, re.DOTALL)
    text = (found[1] if found else text).partition("Some common causes include")[0]
    return " ".join(text.split())[:1000] or type(error).__name__
