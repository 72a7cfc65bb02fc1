"""Requests to a service, with retries; the only module that touches aiohttp."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from gristmill.engines.openai.backoff import backoff_delay, is_passing, retry_after
from gristmill.engines.openai.body import read_body, read_error
from gristmill.engines.openai.endpoint import DEFAULT_ENDPOINT, Endpoint
from gristmill.engines.openai.errors import (
    EndpointDownError,
    EndpointError,
    EndpointTimeoutError,
    ReplyError,
    RequestError,
)
from gristmill.engines.openai.gate import Gate
from gristmill.engines.openai.headers import request_arguments
from gristmill.engines.openai.refusal import concerns_all, concerns_content, is_answer, is_too_large
from gristmill.engines.openai.reply import LARGE, error_of, is_object, no_object, read_reply
from gristmill.engines.openai.tries import Tries
from gristmill.engines.protocol import EngineRefusedError
from gristmill.errors import MissingExtraError

if TYPE_CHECKING:
    import aiohttp

__all__ = ["Client", "need_aiohttp"]

T = TypeVar("T")

_OK = 200
_DOUBTFUL = frozenset({200, 403, 404, 405})
"""Statuses of refusals that may concern every request, and do where nothing else is heard."""

_DOUBTS = 20
_CHECK_SECONDS = 10.0
_TRIAL_SECONDS = 60.0
_NOTE_SECONDS = 30.0
_NOTE_LENGTH = 500
_LOG = logging.getLogger(__name__)


def need_aiohttp() -> None:
    """Raise a `MissingExtraError` where aiohttp is not installed."""
    if find_spec("aiohttp") is None:  # importing it takes a quarter of a second
        raise MissingExtraError.of("aiohttp", "openai", need="the engine openai")


class Client:
    """One service, as one worker talks to it. To be used in one event loop; what it opens is closed with the loop.

    Args:
        endpoint: the service.
        one_model: whether all requests are for one model, so that one that is not there concerns all.
        trial: the path and the body of a request of a word, which a service that works answers: what tells a row that
            it fails at from a service that is down. Without one, a service that answers nobody is down.
        advice: what to do once a service is down.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        one_model: bool = True,
        trial: tuple[str, bytes] | None = None,
        advice: str = "What was answered is kept: run the job again once the service works",
    ) -> None:
        self.gate = Gate(
            endpoint.window,
            requests_per_minute=endpoint.requests_per_minute,
            tokens_per_minute=endpoint.tokens_per_minute,
        )
        self._endpoint = endpoint
        self._one_model = one_model
        self._trial = trial
        self._advice = advice
        self._trying = asyncio.Lock()
        self._doubts = self._doubted = 0
        self._rows = self._sending = 0
        self._noted = float("-inf")
        self._reading = asyncio.Lock()
        self._opened: AsyncGenerator[aiohttp.ClientSession, None] | None = None
        self._session: aiohttp.ClientSession | None = None
        self._how: dict[str, Any] = {}
        self._problems: tuple[type[Exception], ...] = ()
        self._unconnected: tuple[type[Exception], ...] = ()

    def gauges(self) -> dict[str, float]:
        """Requests `running` at the service, and `waiting` for their turn or their next try."""
        sending = self._sending
        return {"running": sending, "waiting": max(0, self._rows - sending)}

    async def check(self) -> None:
        """Ask whether the key is valid; a service that cannot tell, or is not there yet, passes.

        Raises:
            EngineRefusedError: it is not.
        """
        session = self._session or await self._open()
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                url = f"{self._endpoint.base_url}/models"
                async with session.get(url, allow_redirects=False, **self._how) as response:
                    if response.status == _OK:
                        response.close()  # the list may be long
                        return
                    problem = error_of(response.status, await read_error(response))
        except self._problems:
            return
        if concerns_all(problem):
            raise EngineRefusedError(self._told(self._about(problem)))

    async def post(self, path: str, body: bytes, *, read: Callable[[dict[str, Any]], T], tokens: float = 0.0) -> T:
        """What `read` makes of the object that a service answers to a request.

        Args:
            path: such as `/chat/completions`.
            body: JSON.
            read: called with the object, in another thread if it is large; raises `ReplyError`.
            tokens: an estimate, where the gate counts tokens; tell the gate what they were by `answered`.

        Raises:
            RequestError: the service refuses the request.
            ReplyError: the answer is none.
            EndpointError: there was none in all attempts, and others are answered.
            EngineRefusedError: the service refuses every request, or answers none.
        """
        session = self._session or await self._open()
        self._rows += 1
        try:
            content = await self._content(session, self._endpoint.base_url + path, body, tokens)
        finally:
            self._rows -= 1
        try:
            if len(content) <= LARGE:
                return self._read(content, read)
            async with self._reading:  # one by one: each takes many times its size
                return await asyncio.to_thread(self._read, content, read)
        except RequestError as error:
            await self._raise_if_all(session, error)
            raise

    async def _content(self, session: "aiohttp.ClientSession", url: str, body: bytes, tokens: float) -> bytes:
        """The body of the answer, as soon as there is one."""
        endpoint, gate = self._endpoint, self.gate
        settings = endpoint.settings
        tries = Tries(settings.attempts, answers=gate.answers)
        while True:
            asked: float | None = None
            problem: Exception
            await gate.enter(tokens)
            try:
                self._sending += 1
                try:
                    async with session.post(url, data=body, allow_redirects=False, **self._how) as response:
                        status, headers = response.status, response.headers
                        if status == _OK:
                            field = f"settings.endpoints.{endpoint.name}.max_response_bytes"
                            content = await read_body(response, most=settings.max_response_bytes, field=field)
                            if is_object(content):
                                return content
                            problem = no_object(content)
                        else:
                            problem = error_of(status, await read_error(response))
                finally:
                    self._sending -= 1
                gate.failed(estimate=tokens)
                if isinstance(problem, RequestError):
                    problem = await self._judged(session, problem, headers, tries)
                asked = retry_after(headers, now=time.time())
                if status == 429 or asked is not None:
                    now, counts = time.monotonic(), {"answers": gate.answers, "refusals": gate.refusals}
                    is_for_all = tries.refused(**counts, now=now, is_throttled=status == 429)
                    delay = max(asked or 0.0, backoff_delay(tries.failures, base=settings.backoff))
                    gate.refused(delay, concerns_all=is_for_all)
                else:
                    tries.failed(answers=gate.answers)
                    delay = backoff_delay(tries.failures, base=settings.backoff)
            except self._problems as error:
                problem = EndpointError(f"{type(error).__name__}: {error}")
                gate.failed(estimate=tokens)
                is_late = isinstance(error, TimeoutError) and not isinstance(error, self._unconnected)
                if is_late:
                    problem = EndpointTimeoutError(f"no answer within timeout={settings.timeout:g} seconds")
                tries.failed(answers=gate.answers, timed_out=is_late)
                delay = backoff_delay(tries.failures, base=settings.backoff)
            finally:
                gate.leave()
            if tries.is_over:
                await self._raise_outage(session, problem, answers=tries.answers_before, tries=tries.made)
                raise self._given_up(problem, tries.made)
            self._note(problem, delay)
            await asyncio.sleep(delay)

    def _note(self, problem: Exception, delay: float) -> None:
        """Tell the job's log why it is slow, now and then."""
        now = time.monotonic()
        if now - self._noted >= _NOTE_SECONDS:
            self._noted = now
            _LOG.warning("%s; trying again in %.1f s", self._told(self._about(problem))[:_NOTE_LENGTH], delay)

    def _read(self, content: bytes, read: Callable[[dict[str, Any]], T]) -> T:
        try:
            return read(read_reply(content))
        except RequestError as error:
            raise self._as_told(error) from None
        except ReplyError as error:
            raise ReplyError(self._told(str(error))) from None

    async def _judged(
        self, session: "aiohttp.ClientSession", problem: RequestError, headers: Mapping[str, str], tries: Tries
    ) -> RequestError:
        """A failure that may pass.

        Raises:
            RequestError: it will not: the row's own.
            EngineRefusedError: it will not, and concerns all.
        """
        if problem.status < 400:  # nothing is wrong with the row, so that it may pass
            moved = headers.get("location")
            if not moved:
                return problem
            problem = RequestError(f"{problem} (moved to {moved}: write that in base_url)", status=problem.status)
            if self.gate.answers:
                return problem
            raise EngineRefusedError(self._told(self._about(problem)))
        if is_too_large(problem):
            raise self._as_told(problem)
        if is_passing(problem.status, headers, problem.code):
            return problem
        if concerns_all(problem):
            raise EngineRefusedError(self._told(self._about(problem)))
        await self._raise_if_all(session, problem)
        if not is_answer(problem):  # the service asks for no further try, and may be down all the same
            await self._raise_outage(session, problem, answers=self.gate.answers, tries=tries.made + 1)
        raise self._as_told(problem)

    async def _raise_if_all(self, session: "aiohttp.ClientSession", problem: RequestError) -> None:
        """Raise the end of the job where a doubtful refusal concerns all requests.

        It does if many came, no answer has since, none is for the content, and a request of a word is refused as well:
        some services say 403 of content, without a code.
        """
        if problem.status not in _DOUBTFUL or not self._one_model or concerns_content(problem):
            return
        answers = self.gate.answers
        if answers != self._doubted:
            self._doubts, self._doubted = 0, answers
        self._doubts += 1
        if self._doubts < _DOUBTS:
            return
        async with self._trying:
            if self._doubts < _DOUBTS or self.gate.answers != answers:
                return
            told = await self._try(session)
            is_alike = isinstance(told, RequestError) and (told.status in _DOUBTFUL or concerns_all(told))
            if is_alike and self.gate.answers == answers:
                raise EngineRefusedError(
                    self._told(f"{self._about(problem)} (and so did {_DOUBTS - 1} requests or more before)")
                )
            self._doubts = 0

    async def _raise_outage(
        self, session: "aiohttp.ClientSession", problem: Exception, *, answers: int, tries: int
    ) -> None:
        """Raise the end of the job where a service answers nobody (ADR 11).

        Args:
            session: to ask with.
            problem: the failure of a request that is not tried again.
            answers: all requests that had been answered at a moment before that; none have been since, or it is there.
            tries: how often the request has been tried.
        """
        async with self._trying:  # what one finds out, the others need not ask
            if self.gate.answers != answers:
                return
            found = await self._try(session)
            if found is None or is_answer(found):
                self.gate.answered()
            elif concerns_all(found):
                raise EngineRefusedError(self._told(self._about(found)))
            elif self.gate.answers == answers:
                raise EndpointDownError(
                    self._told(
                        f"{self._about(problem)}, after {_times(tries)}; nobody was answered meanwhile,"
                        f" and neither was a request of a word ({str(found)[:_NOTE_LENGTH]}), so the service is down"
                        f" and no row is at fault. {self._advice}"
                    )
                )

    async def _try(self, session: "aiohttp.ClientSession") -> Exception | None:
        """What keeps the service from answering a request of a word; None where it does."""
        if self._trial is None:
            return EndpointError("there is none to send")
        path, body = self._trial
        try:
            async with asyncio.timeout(min(_TRIAL_SECONDS, self._endpoint.settings.timeout)):
                url = self._endpoint.base_url + path
                async with session.post(url, data=body, allow_redirects=False, **self._how) as response:
                    content = await read_error(response)
                    if response.status != _OK:
                        return error_of(response.status, content)
            if not is_object(content):
                return no_object(content)
            with contextlib.suppress(ReplyError):  # a long answer, of which this is the beginning
                read_reply(content)
        except RequestError as error:
            return error
        except self._problems as error:
            return EndpointError(f"{type(error).__name__}: {error}")
        return None

    def _as_told(self, problem: RequestError) -> RequestError:
        return RequestError(self._told(str(problem)), status=problem.status, code=problem.code, kind=problem.kind)

    def _given_up(self, problem: Exception, tries: int) -> EndpointError:
        kind = type(problem) if isinstance(problem, EndpointError) else EndpointError
        return kind(self._told(f"{self._about(problem)}, after {_times(tries)}"))

    def _about(self, problem: Exception) -> str:
        endpoint = self._endpoint
        verb = "answered" if isinstance(problem, RequestError) else "failed:"
        advice = ""
        if getattr(problem, "status", 0) == 401:
            advice = f"; set api_key in [endpoints.{endpoint.name}] of the settings"
            advice += ", or OPENAI_API_KEY" if endpoint.name == DEFAULT_ENDPOINT else ""
        return f"endpoint {endpoint.name!r} at {endpoint.base_url} {verb} {problem}{advice}"

    def _told(self, text: str) -> str:
        return self._endpoint.without_key(text)

    async def _open(self) -> "aiohttp.ClientSession":
        # An asynchronous generator is closed when its loop is shut down: nobody else here knows when that is.
        import aiohttp

        self._problems = (aiohttp.ClientError, OSError)  # the second holds time-outs
        self._unconnected = (aiohttp.ConnectionTimeoutError,)
        self._how = request_arguments(self._endpoint)
        self._opened = _session(self._endpoint)
        self._session = await anext(self._opened)
        return self._session


def _times(tries: int) -> str:
    return "1 attempt" if tries == 1 else f"{tries} attempts"


async def _session(endpoint: Endpoint) -> "AsyncGenerator[aiohttp.ClientSession, None]":
    import aiohttp

    settings = endpoint.settings
    timeout = aiohttp.ClientTimeout(
        total=settings.timeout, connect=None, sock_connect=settings.connect_timeout, sock_read=None
    )
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=endpoint.window, ttl_dns_cache=60),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=timeout,
        auto_decompress=False,  # which knows no bound
    ) as session:
        yield session
