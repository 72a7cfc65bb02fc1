"""The runner's end of a connection, against a real mailbox without Ray."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest

from gristmill.executors.mailbox import Mailbox, Reply
from gristmill.executors.ray_link import RayLink
from gristmill.replica.messages import Announced, Command, Stop, UseSchema


class _Call:
    def __init__(self, future: "Future[Reply]") -> None:
        self._future = future

    def future(self) -> "Future[Reply]":
        return self._future


class Actor:
    """Calls to a mailbox in threads, in the form of calls to an actor."""

    def __init__(self, mailbox: Mailbox, threads: ThreadPoolExecutor) -> None:
        self._mailbox = mailbox
        self._threads = threads

    @property
    def exchange(self) -> "Actor":
        return self

    def remote(self, turn: int, received: int, commands: Sequence[Command]) -> _Call:
        return _Call(self._threads.submit(self._mailbox.exchange, turn, received, commands))


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def link(mailbox: Mailbox) -> Iterator[RayLink]:
    with ThreadPoolExecutor(8) as threads:
        yield RayLink(Actor(mailbox, threads))
        mailbox.end("the test is over")


def test_a_sender_hears_of_its_arrival_though_another_call_was_made_meanwhile(mailbox: Mailbox, link: RayLink) -> None:
    first = link.call()
    sender = threading.Thread(target=mailbox.send, args=(Announced(1, 0, 5),), kwargs={"sure": True})
    sender.start()
    first.result(10)
    link.outbox.append(UseSchema(pa.schema([])))
    link.call()  # it does not know yet what the first has brought
    assert link.collect() == [Announced(1, 0, 5)]
    assert link.wants_call()
    link.call()
    sender.join(10)
    assert not sender.is_alive()
    assert not link.wants_call()


def test_a_waiting_call_is_enough_while_there_is_nothing_to_say(mailbox: Mailbox, link: RayLink) -> None:
    assert link.wants_call()
    link.call()
    assert not link.wants_call()
    link.outbox.append(Stop())
    assert link.wants_call()
    link.call()
    assert mailbox.receive() == Stop()
    assert not link.wants_call()


def test_the_end_of_a_loop_is_its_death(mailbox: Mailbox, link: RayLink) -> None:
    call: Any = link.call()
    mailbox.end("a bug")
    call.result(10)
    assert link.collect() == []
    assert (link.reason, link.dead) == ("a bug", True)
    assert not link.wants_call()
