"""The requests of a SQL query: asked in one event loop, some at a time, each once."""

import asyncio
import os
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from gristmill.chat.response import chat_response
from gristmill.engines.openai.client import Client
from gristmill.engines.openai.endpoint import Endpoint
from gristmill.engines.openai.errors import EndpointError, ReplyError, RequestError
from gristmill.engines.openai.gate import Gate
from gristmill.engines.openai.reply import Usage, read_choices, read_usage, whole
from gristmill.engines.openai.request import ChatBody, estimate_tokens
from gristmill.services.record import ServiceRecord
from gristmill.sql.event_loop import shared_loop
from gristmill.sql.target import why_ended

__all__ = ["Answer", "Asker", "Query", "QueryStoppedError", "Request", "asker_of", "submit"]

_PATH = "/chat/completions"
_TRIAL = '[{"role": "user", "content": "Hi"}]'
_ADVICE = "Run the query again once the service works"
_MEMO_BYTES = 64 * 1024**2
_ENTRY_BYTES = 600
_RESPONSE_BYTES = 2_000
_LOOK_SECONDS = 2.0


class QueryStoppedError(Exception):
    """The query was interrupted."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered.

    Attributes:
        text: of the first choice; None where it has none.
        finish_reason: why it ends.
        response: the whole response, in the form of a chat job's columns, where it was asked for.
    """

    text: str | None
    finish_reason: str | None
    response: Mapping[str, Any] | None


class Request:
    """One request, which several rows may wait for.

    Args:
        messages: gives the JSON text of its messages, when it is sent.
        params: checked.
        details: whether the whole response is wanted.

    Attributes:
        answer: once there is one.
        error: why the rows have none.
        done: whether one of them is there.
    """

    __slots__ = ("answer", "calls", "details", "done", "error", "messages", "params", "task")

    def __init__(self, messages: Callable[[], str], params: Mapping[str, Any], *, details: bool = False) -> None:
        self.messages: Callable[[], str] | None = messages
        self.params = params
        self.details = details
        self.answer: Answer | None = None
        self.error: Exception | None = None
        self.done = False
        self.calls: list[Call] = []
        self.task: asyncio.Task[None] | None = None


class Call:
    """A thread that waits for some requests."""

    __slots__ = ("_all", "left")

    def __init__(self) -> None:
        self._all = threading.Event()
        self.left = 0

    def arrived(self, count: int = 1) -> None:
        """So many are there; in the loop."""
        self.left -= count
        if self.left <= 0:
            self._all.set()

    def wake(self) -> None:
        """Wait no longer."""
        self._all.set()

    def wait(self, query: "Query") -> None:
        """Wait for all of them.

        Raises:
            Exception: what ended the query.
        """
        try:
            while not self._all.wait(_LOOK_SECONDS if query.services else None):
                query.look()
        except BaseException:  # Ctrl-C, where the query runs in the main thread
            query.stop(QueryStoppedError("the query was interrupted"))
            raise
        query.raise_for_failure()


class Query:
    """The requests of one query, and what they gave: identical ones are asked once.

    What is known is bounded: beyond 64 MiB of answers the oldest are forgotten, and would be asked for again.

    Args:
        number: of the query, in its connection.

    Attributes:
        touched: when it last had rows, by the monotonic clock.
        askers: whom its rows name, as they name them.
        services: those among them that are services of ours.
        naming: held while a name is looked up.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.touched = 0.0
        self.askers: dict[str, Asker] = {}
        self.services: list[ServiceRecord] = []
        self.naming = threading.Lock()
        self._lock = threading.Lock()
        self._memo: OrderedDict[bytes, Request] = OrderedDict()
        self._bytes = 0
        self._counted: set[bytes] = set()
        self._failure: Exception | None = None
        self._open: set[Request] = set()
        self._calls: set[Call] = set()

    def request(self, key: bytes, make: Callable[[], Request]) -> tuple[Request, bool]:
        """The request of a key, and whether it is a new one, to be submitted."""
        with self._lock:
            found = self._memo.get(key)
            if found is not None:
                return found, False
            made = self._memo[key] = make()
            return made, True

    def remember(self, keys: Sequence[bytes]) -> None:
        """Count the answers to keys of new requests, and forget the oldest where they are too many."""
        with self._lock:
            for key in keys:
                request = self._memo.get(key)
                if request is not None and key not in self._counted:
                    self._counted.add(key)
                    self._bytes += _size(request)
            while self._bytes > _MEMO_BYTES and self._memo:
                key, oldest = next(iter(self._memo.items()))
                if not oldest.done or key not in self._counted:
                    break
                del self._memo[key]
                self._counted.remove(key)
                self._bytes -= _size(oldest)

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it is on its way."""
        return not self._open and not self._calls

    def raise_for_failure(self) -> None:
        """Raise what ended the query, if anything did."""
        if self._failure is not None:
            raise self._failure

    def look(self) -> None:
        """End the query where a service that it waits for has ended: that need not be found out by many tries."""
        for service in self.services:
            error = why_ended(service)
            if error is not None:
                self.stop(error)

    def stop(self, error: Exception) -> None:
        """Ask for nothing more, and raise this in whatever waits; from any thread."""
        shared_loop().call_soon_threadsafe(self.fail, error)

    # Below: in the loop alone.

    def fail(self, error: Exception) -> None:
        """The query cannot go on: what is on its way is cancelled."""
        if self._failure is None:
            self._failure = error
        for request in list(self._open):
            if request.task is not None:
                request.task.cancel()
        self._open.clear()
        for call in self._calls:
            call.wake()
        self._calls.clear()

    def begin(self, requests: Sequence[Request], call: Call) -> None:
        """A thread waits for requests, some of which may be there."""
        waiting = 0
        for request in requests:
            if not request.done:
                request.calls.append(call)
                waiting += 1
        call.arrived(len(requests) - waiting)
        if call.left > 0:
            self._calls.add(call)
        if self._failure is not None:
            call.wake()

    def opened(self, request: Request) -> bool:
        """A request is to be sent; False where the query is over."""
        if self._failure is not None:
            return False
        self._open.add(request)
        return True

    def closed(self, request: Request) -> None:
        """A request has an answer or an error."""
        request.done = True
        request.messages = request.task = None
        self._open.discard(request)
        for call in request.calls:
            call.arrived()
            if call.left <= 0:
                self._calls.discard(call)
        request.calls.clear()


def _size(request: Request) -> int:
    answer = request.answer
    details = _RESPONSE_BYTES if request.details else 0
    return _ENTRY_BYTES + details + (2 * len(answer.text) if answer is not None and answer.text else 0)


def submit(query: Query, asker: "Asker", new: Sequence[Request], waited: Sequence[Request]) -> Call:
    """Send new requests, and wait for those and others by what this returns; from any thread.

    Args:
        query: whose they are.
        asker: sends the new ones.
        new: requests to send, in order.
        waited: all that are waited for.
    """
    call = Call()
    call.left = len(waited)

    def begin() -> None:
        query.begin(waited, call)
        asker.add(query, new)

    shared_loop().call_soon_threadsafe(begin)
    return call


class Asker:
    """Sends the requests for one model of a service, for all connections of this process, in the loop.

    Args:
        endpoint: the service.
        model: its name there.
    """

    def __init__(self, endpoint: Endpoint, model: str) -> None:
        self.model = model
        self._body = ChatBody(model, max_tokens_name=endpoint.settings.max_tokens_name)
        trial = self._body.write(_TRIAL, {"max_completion_tokens": 1})
        self._client = Client(endpoint, trial=(_PATH, trial), advice=_ADVICE)
        self._client.gate = _gate(endpoint, self._client.gate)
        self._window = endpoint.window
        self._waiting: deque[tuple[Query, Request]] = deque()
        self._running = 0

    def add(self, query: Query, requests: Sequence[Request]) -> None:
        """Send these when their turn comes."""
        self._waiting.extend((query, request) for request in requests)
        self._pump()

    def _pump(self) -> None:
        while self._running < self._window and self._waiting:
            query, request = self._waiting.popleft()
            if query.opened(request):
                self._running += 1
                request.task = asyncio.get_running_loop().create_task(self._run(query, request))
                request.task.add_done_callback(partial(self._ended, query, request))

    def _ended(self, query: Query, request: Request, _task: "asyncio.Task[None]") -> None:
        """A request is over, perhaps cancelled before it began."""
        self._running -= 1
        query.closed(request)
        self._pump()

    async def _run(self, query: Query, request: Request) -> None:
        try:
            request.answer = await self._ask(request)
        except (RequestError, ReplyError, EndpointError, ValueError) as error:
            request.error = error
        except Exception as error:  # noqa: BLE001 - raised in the threads that wait: an outage, a key, a defect
            query.fail(error)

    async def _ask(self, request: Request) -> Answer:
        assert request.messages is not None
        params, gate = request.params, self._client.gate
        text = request.messages()
        body = self._body.write(text, params)
        estimate = _estimate(text, params) if gate.counts_tokens else 0
        count = params.get("n") or 1

        def read(reply: dict[str, Any]) -> tuple[Answer, Usage]:
            return _read(reply, count, details=request.details)

        answer, usage = await self._client.post(_PATH, body, read=read, tokens=estimate)
        known = usage.prompt is not None
        gate.answered(tokens=(usage.prompt or 0) + (usage.completion or 0) if known else estimate, estimate=estimate)
        return answer


def _estimate(text: str, params: Mapping[str, Any]) -> int:
    """About how many tokens a request takes; data URLs count as text here, which errs on the safe side."""
    return estimate_tokens([{"content": text}], params)


def _read(reply: Mapping[str, Any], count: int, *, details: bool) -> tuple[Answer, Usage]:
    choices, usage = read_choices(reply, count=count), read_usage(reply)
    text, reason = choices[0].text, choices[0].finish_reason
    if not details:
        return Answer(text, reason, None), usage
    names = {name: reply[name] if isinstance(reply.get(name), str) else None for name in ("id", "model")}
    response = chat_response(
        id=names["id"],
        created=whole(reply.get("created")),
        model=names["model"],
        choices=choices,
        prompt_tokens=usage.prompt,
        completion_tokens=usage.completion,
        cached_tokens=usage.cached,
    )
    return Answer(text, reason, response), usage


_askers: dict[tuple[int, Endpoint, str], Asker] = {}
_gates: dict[tuple[int, Endpoint], Gate] = {}
"""By process, since a forked one has a loop of its own."""


async def asker_of(endpoint: Endpoint, model: str) -> Asker:
    """The one that sends requests for a model; in the loop."""
    key = os.getpid(), endpoint, model
    asker = _askers.get(key)
    if asker is None:
        asker = _askers[key] = Asker(endpoint, model)
    return asker


def _gate(endpoint: Endpoint, gate: Gate) -> Gate:
    """The gate of an endpoint: its models share its window and its rates."""
    return _gates.setdefault((os.getpid(), endpoint), gate)
