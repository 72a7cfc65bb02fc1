"""Requests to a service, with retries; the only module that touches aiohttp."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from gristmill.engines.openai.backoff import backoff_delay, is_passing, retry_after
from gristmill.engines.openai.endpoint import Endpoint
from gristmill.engines.openai.errors import EndpointError, EndpointTimeoutError, ReplyError, RequestError
from gristmill.engines.openai.gate import Gate
from gristmill.engines.openai.headers import request_arguments
from gristmill.engines.openai.reply import error_of, read_reply
from gristmill.engines.protocol import EngineRefusedError
from gristmill.errors import MissingExtraError

if TYPE_CHECKING:
    import aiohttp

__all__ = ["Client", "need_aiohttp"]

_OK = 200
_REFUSING = frozenset({401, 402})
"""Statuses that concern the key or the account, and so every request."""

_DOUBTFUL = frozenset({403, 404, 405})
"""Statuses that may concern every request, and do where nothing else is heard."""

_DOUBTS = 20
_TIMEOUTS = 2
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
                status, _, content = await self._get(session, f"{self._endpoint.base_url}/models")
        except self._problems:
            return
        if status in _REFUSING:
            raise EngineRefusedError(self._told(self._about(error_of(status, content))))

    async def post(self, path: str, body: bytes, *, tokens: float = 0.0) -> dict[str, Any]:
        """The object that a service answers to a request.

        Args:
            path: such as `/chat/completions`.
            body: JSON.
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
            return await self._tries(session, self._endpoint.base_url + path, body, tokens)
        finally:
            self._rows -= 1

    async def _tries(self, session: "aiohttp.ClientSession", url: str, body: bytes, tokens: float) -> dict[str, Any]:
        settings, gate = self._endpoint.settings, self.gate
        tries = timeouts = 0
        while True:
            answers = gate.answers
            wait: float | None = None
            problem: Exception
            await gate.enter(tokens)
            try:
                self._sending += 1
                try:
                    async with session.post(url, data=body, allow_redirects=False, **self._how) as response:
                        content = await response.read()
                        status, headers = response.status, response.headers
                finally:
                    self._sending -= 1
                if status == _OK:
                    return self._read(content)
                problem = error_of(status, content)
                gate.failed(estimate=tokens)
                if not is_passing(status, headers, problem.code):
                    raise self._refusal(problem, headers)
                wait = retry_after(headers, now=time.time())
                if status == 429 or wait is not None:
                    gate.refused(backoff_delay(tries + 1, base=settings.backoff) if wait is None else wait)
                # Where others get through, to be told to wait is no failed try.
                tries += 0 if status == 429 and gate.answers > answers else 1
            except self._problems as error:
                problem = EndpointError(f"{type(error).__name__}: {error}")
                gate.failed(estimate=tokens)
                tries += 1
                if isinstance(error, TimeoutError) and not isinstance(error, self._unconnected):
                    problem = EndpointTimeoutError(f"no answer within timeout={settings.timeout:g} seconds")
                    timeouts += 1
            finally:
                gate.leave()
            if tries >= settings.attempts or timeouts >= _TIMEOUTS:
                raise self._given_up(problem, tries)
            delay = backoff_delay(max(tries, 1), base=settings.backoff) if wait is None else wait
            self._note(problem, delay)
            await asyncio.sleep(delay)

    def _note(self, problem: Exception, delay: float) -> None:
        """Tell the job's log why it is slow, now and then."""
        now = time.monotonic()
        if now - self._noted >= _NOTE_SECONDS:
            self._noted = now
            _LOG.warning("%s; trying again in %.1f s", self._told(self._about(problem))[:_NOTE_LENGTH], delay)

    def _read(self, content: bytes) -> dict[str, Any]:
        try:
            return read_reply(content)
        except RequestError as error:
            raise RequestError(self._told(str(error)), status=error.status, code=error.code) from None
        except ReplyError as error:
            raise ReplyError(self._told(str(error))) from None

    def _refusal(self, problem: RequestError, headers: Mapping[str, str]) -> Exception:
        """The error for a request that will not succeed: the row's own, or the end of the job."""
        if problem.status in _REFUSING or problem.code == "insufficient_quota":
            return EngineRefusedError(self._told(self._about(problem)))
        if problem.status in _DOUBTFUL and self._one_model and not self.gate.answers:
            self._doubts += 1
            if self._doubts >= _DOUBTS:
                return EngineRefusedError(
                    self._told(f"{self._about(problem)} (and so did {self._doubts - 1} requests before)")
                )
        moved = headers.get("location")
        more = f" (moved to {moved}: write that in base_url)" if 300 <= problem.status < 400 and moved else ""
        return RequestError(self._told(f"{problem}{more}"), status=problem.status, code=problem.code)

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

    async def _get(self, session: "aiohttp.ClientSession", url: str) -> tuple[int, Mapping[str, str], bytes]:
        async with session.get(url, allow_redirects=False, **self._how) as response:
            return response.status, response.headers, await response.read()

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
    ) as session:
        yield session
