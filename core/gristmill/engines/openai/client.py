"""Requests to a service, with retries; the only module that touches aiohttp."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from gristmill.engines.openai.backoff import backoff_delay, is_passing, retry_after
from gristmill.engines.openai.body import read_body, read_error
from gristmill.engines.openai.endpoint import Endpoint
from gristmill.engines.openai.errors import EndpointError, EndpointTimeoutError, ReplyError, RequestError
from gristmill.engines.openai.gate import Gate
from gristmill.engines.openai.headers import request_arguments
from gristmill.engines.openai.refusal import concerns_content, is_too_large
from gristmill.engines.openai.reply import LARGE, error_of, read_reply
from gristmill.engines.openai.tries import Tries
from gristmill.engines.protocol import EngineRefusedError
from gristmill.errors import MissingExtraError

if TYPE_CHECKING:
    import aiohttp

__all__ = ["Client", "need_aiohttp"]

T = TypeVar("T")

_OK = 200
_REFUSING = frozenset({401, 402})
"""Statuses that concern the key or the account, and so every request."""

_DOUBTFUL = frozenset({403, 404, 405})
"""Statuses that may concern every request, and do where nothing else is heard."""

_DOUBTS = 20
_CHECK_SECONDS = 10.0
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
    """

    def __init__(self, endpoint: Endpoint, *, one_model: bool = True) -> None:
        self.gate = Gate(
            endpoint.window,
            requests_per_minute=endpoint.requests_per_minute,
            tokens_per_minute=endpoint.tokens_per_minute,
        )
        self._endpoint = endpoint
        self._one_model = one_model
        self._doubts = 0
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
        problem = await self._probe(self._session or await self._open())
        if problem is not None and problem.status in _REFUSING:
            raise EngineRefusedError(self._told(self._about(problem)))

    async def _probe(self, session: "aiohttp.ClientSession") -> RequestError | None:
        """What the service says to the key where it is asked for nothing but its models; None where that is no word."""
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                url = f"{self._endpoint.base_url}/models"
                async with session.get(url, allow_redirects=False, **self._how) as response:
                    if response.status == _OK:
                        response.close()  # the list may be long
                        return None
                    return error_of(response.status, await read_error(response))
        except self._problems:
            return None

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
            EndpointError: there was none in all attempts.
            EngineRefusedError: the service refuses every request.
        """
        session = self._session or await self._open()
        self._rows += 1
        try:
            content = await self._content(session, self._endpoint.base_url + path, body, tokens)
        finally:
            self._rows -= 1
        if len(content) <= LARGE:
            return self._read(content, read)
        async with self._reading:  # one by one: each takes many times its size
            return await asyncio.to_thread(self._read, content, read)

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
                            return await read_body(response, most=settings.max_response_bytes, field=field)
                        problem = error_of(status, await read_error(response))
                finally:
                    self._sending -= 1
                gate.failed(estimate=tokens)
                if is_too_large(problem) or not is_passing(status, headers, problem.code):
                    raise await self._refusal(session, problem, headers)
                asked = retry_after(headers, now=time.time())
                if status == 429 or asked is not None:
                    now, counts = time.monotonic(), {"answers": gate.answers, "refusals": gate.refusals}
                    concerns_all = tries.refused(**counts, now=now, is_throttled=status == 429)
                    delay = max(asked or 0.0, backoff_delay(tries.failures, base=settings.backoff))
                    gate.refused(delay, concerns_all=concerns_all)
                else:
                    tries.failed()
                    delay = backoff_delay(tries.failures, base=settings.backoff)
            except self._problems as error:
                problem = EndpointError(f"{type(error).__name__}: {error}")
                gate.failed(estimate=tokens)
                is_late = isinstance(error, TimeoutError) and not isinstance(error, self._unconnected)
                if is_late:
                    problem = EndpointTimeoutError(f"no answer within timeout={settings.timeout:g} seconds")
                tries.failed(timed_out=is_late)
                delay = backoff_delay(tries.failures, base=settings.backoff)
            finally:
                gate.leave()
            if tries.is_over:
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

    async def _refusal(
        self, session: "aiohttp.ClientSession", problem: RequestError, headers: Mapping[str, str]
    ) -> Exception:
        """The error for a request that will not succeed: the row's own, or the end of the job."""
        if problem.status in _REFUSING or problem.code == "insufficient_quota":
            return EngineRefusedError(self._told(self._about(problem)))
        if problem.status in _DOUBTFUL and await self._refuses_all(session, problem):
            return EngineRefusedError(
                self._told(f"{self._about(problem)} (and so did {_DOUBTS - 1} requests or more before)")
            )
        moved = headers.get("location")
        more = f" (moved to {moved}: write that in base_url)" if 300 <= problem.status < 400 and moved else ""
        return self._as_told(problem, more)

    async def _refuses_all(self, session: "aiohttp.ClientSession", problem: RequestError) -> bool:
        """Whether a doubtful refusal concerns all requests: many came, no answer has, and it is not for the content."""
        if not self._one_model or self.gate.answers or concerns_content(problem):
            return False
        self._doubts += 1
        if self._doubts < _DOUBTS:
            return False
        if problem.status != 403 or problem.code == "model_not_found":
            return True
        self._doubts = 0  # at once: the others need not ask as well
        told = await self._probe(session)  # some services say 403 of content, without a code
        return told is not None and told.status in _REFUSING | {403} and not self.gate.answers

    def _as_told(self, problem: RequestError, more: str = "") -> RequestError:
        text = self._told(f"{problem}{more}")
        return RequestError(text, status=problem.status, code=problem.code, kind=problem.kind)

    def _given_up(self, problem: Exception, tries: int) -> EndpointError:
        kind = type(problem) if isinstance(problem, EndpointError) else EndpointError
        return kind(self._told(f"{self._about(problem)}, after {tries} attempts"))

    def _about(self, problem: Exception) -> str:
        endpoint = self._endpoint
        verb = "answered" if isinstance(problem, RequestError) else "failed:"
        advice = "; set its api_key, or OPENAI_API_KEY" if getattr(problem, "status", 0) == 401 else ""
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
