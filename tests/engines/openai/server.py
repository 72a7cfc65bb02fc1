"""A small service that speaks the OpenAI API over real HTTP, in a thread of its own, and does as a test tells it."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

KEY = "sk-test-5c1f0a77e2"
MODEL = "tiny"
TRIAL = "Hi"


@dataclass
class Call:
    """A request as it came.

    Attributes:
        path: such as `/v1/chat/completions`.
        body: its JSON.
        headers: by name, as sent.
        time: seconds of the monotonic clock.
        number: how many of its path came before it.
    """

    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    time: float
    number: int

    @property
    def text(self) -> str:
        """The last message's content, where it is text; else the text to embed."""
        if "input" in self.body:
            return str(self.body["input"])
        content = self.body["messages"][-1]["content"]
        return content if isinstance(content, str) else json.dumps(content)


Script = Callable[[Call], "Awaitable[web.StreamResponse | None] | web.StreamResponse | None"]


@dataclass
class Service:
    """The service. By default a chat is answered with its last message in capitals, a text by its length.

    Attributes:
        latency: seconds that each answer takes.
        script: what to answer instead; None answers as usual. Called in the service's own thread.
        key: what it asks for; None takes any.
        models: whether it has `/v1/models`.
        listing: what that answers instead.
        calls: the requests for chats and embeddings so far.
        most: requests that it had at once, at most.
    """

    latency: float = 0.0
    script: Script | None = None
    key: str | None = None
    models: bool = True
    listing: Callable[[], web.Response] | None = None
    calls: list[Call] = field(default_factory=list)
    most: int = 0
    port: int = 0
    _now: int = 0

    def __post_init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="service", daemon=True)
        self._thread.start()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def texts(self) -> list[str]:
        """What was asked, in the order in which it came."""
        return [call.text for call in self.calls]

    @property
    def trials(self) -> int:
        """How often it was asked whether it works."""
        return self.texts.count(TRIAL)

    def start(self) -> None:
        """Listen, on the same port each time."""
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    def stop(self) -> None:
        """Drop all connections, and take no more."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application(client_max_size=64 * 1024**2)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._answer)
        app.router.add_post("/v1/embeddings", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True, backlog=1024).start()

    async def _stop(self) -> None:
        await self._runner.cleanup()

    def _refuses(self, request: web.Request) -> web.Response | None:
        if self.key is None or request.headers.get("Authorization") == f"Bearer {self.key}":
            return None
        said = request.headers.get("Authorization", "")
        return refusal(401, f"Incorrect API key provided: {said}", kind="invalid_request_error", code="invalid_api_key")

    async def _models(self, request: web.Request) -> web.StreamResponse:
        if not self.models:
            return web.Response(status=404)
        if self.listing is not None:
            return self.listing()
        return self._refuses(request) or web.json_response({"object": "list", "data": [{"id": MODEL}]})

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            body = await request.json()
            number = sum(call.path == request.path for call in self.calls)
            call = Call(request.path, body, dict(request.headers), time.monotonic(), number)
            self.calls.append(call)
            if (refused := self._refuses(request)) is not None:
                return refused
            if self.script is not None:
                answer = self.script(call)
                if asyncio.iscoroutine(answer):
                    answer = await answer
                if answer is not None:
                    if isinstance(answer, web.Response) and answer.headers.get("X-Drop"):
                        assert request.transport is not None
                        request.transport.abort()
                    return answer
            if self.latency:
                await asyncio.sleep(self.latency)
            return web.json_response(embedding(call) if "input" in body else chat(call))
        finally:
            self._now -= 1


def chat(call: Call, **more: Any) -> dict[str, Any]:
    """A chat's answer."""
    texts = [call.text.upper() for _ in range(call.body.get("n", 1))]
    choices = [
        {"index": place, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for place, text in enumerate(texts)
    ]
    if call.body.get("logprobs"):
        token = {"token": "A", "logprob": -0.5, "bytes": [65]}
        for choice in choices:
            choice["logprobs"] = {"content": [{**token, "top_logprobs": [token]}]}
    return {
        "id": f"chatcmpl-{call.number}", "object": "chat.completion", "created": 1_700_000_000,
        "model": call.body["model"], "choices": choices,
        "usage": {
            "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4},
        },
        **more,
    }  # fmt: skip


def embedding(call: Call) -> dict[str, Any]:
    """An embedding's answer."""
    return {
        "object": "list", "model": call.body["model"],
        "data": [{"object": "embedding", "index": 0, "embedding": [float(len(call.text)), 0.5]}],
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }  # fmt: skip


def refusal(status: int, message: str, *, kind: str = "server_error", code: Any = None, **headers: str) -> web.Response:
    """An error in the API's form; names of headers are written with `_`."""
    error = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return web.json_response(
        error, status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def drop() -> web.Response:
    """Not an answer: the connection is cut."""
    return web.Response(headers={"X-Drop": "1"})
