"""Who passes before vLLM's server."""

import asyncio
from typing import Any

import pytest

from gristmill.services.guard import VARIABLE, Guard

KEY = "the-key-of-this-server"


def _sent(scope: dict[str, Any]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(dict(message))

    async def receive() -> Any:
        raise AssertionError("nothing is read before the key is checked")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "passed"})

    asyncio.run(Guard(app)({"method": "GET", "headers": [], **scope}, receive, send))
    return sent


@pytest.mark.parametrize(
    ("scope", "passes"),
    [
        ({"path": "/health"}, True),
        ({"path": "/healthy"}, False),
        ({"path": "/v1/models"}, False),
        ({"path": "/invocations", "method": "POST"}, False),
        ({"path": "/v1/chat/completions", "method": "OPTIONS"}, True),
        ({"path": "/metrics", "headers": [(b"authorization", b"Bearer " + KEY.encode())]}, True),
        ({"path": "/metrics", "headers": [(b"Authorization", b"bearer  " + KEY.encode())]}, True),
        ({"path": "/metrics", "headers": [(b"authorization", b"Bearer " + KEY[:-1].encode())]}, False),
        ({"path": "/metrics", "headers": [(b"authorization", KEY.encode())]}, False),
        ({"path": "/metrics", "headers": [(b"authorization", b"Bearer \xff\xfe")]}, False),
    ],
)
def test_only_who_has_the_key_passes(monkeypatch: pytest.MonkeyPatch, scope: dict[str, Any], passes: bool) -> None:
    monkeypatch.setenv(VARIABLE, KEY)
    sent = _sent({"type": "http", **scope})
    assert (sent == [{"type": "passed"}]) is passes
    if not passes:
        assert [sent[0]["status"], sent[-1]["type"]] == [401, "http.response.body"]
        assert KEY.encode() not in sent[-1]["body"]


def test_a_web_socket_without_the_key_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, KEY)
    assert _sent({"type": "websocket", "path": "/v1/realtime"}) == [{"type": "websocket.close", "code": 1008}]
    assert _sent({"type": "lifespan", "path": "/"}) == [{"type": "passed"}]
