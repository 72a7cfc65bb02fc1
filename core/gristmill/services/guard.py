"""Asking for the key at every path of vLLM's server but `/health`.

vLLM's own check looks at paths that begin with `/v1` and a few others; `/invocations`, which answers chats just as
well, stands open, and so does what tells of the server's state.
"""

import hashlib
import hmac
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

__all__ = ["VARIABLE", "Guard"]

VARIABLE = "VLLM_API_KEY"
"""The variable of the server's environment that holds the key."""

_OPEN = "/health"
_ANSWER = b'{"error": {"message": "the key is missing or wrong", "type": "invalid_request_error", "code": 401}}'

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Guard:
    """ASGI middleware that lets through who has the key.

    Args:
        app: what it stands before.
        digest: the SHA-256 of the key, in hex; None takes the key from the environment.
    """

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]], digest: str | None = None) -> None:
        self._app = app
        self._expected = _digest(os.environ[VARIABLE].encode()) if digest is None else bytes.fromhex(digest)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with 401; a web socket is closed instead."""
        kind = scope["type"]
        if kind not in ("http", "websocket") or self._may_pass(scope):
            await self._app(scope, receive, send)
        elif kind == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            headers = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": _ANSWER})

    @staticmethod
    def _path(scope: Message) -> str:
        """The path below the one that the app is mounted at, such as a service's among others on a cluster."""
        return str(scope["path"]).removeprefix(str(scope.get("root_path") or "").rstrip("/"))

    def _may_pass(self, scope: Message) -> bool:
        if scope.get("method") == "OPTIONS" or self._path(scope) == _OPEN:  # a browser asks the first without a key
            return True
        given = next((value for name, value in scope["headers"] if name.lower() == b"authorization"), b"")
        scheme, _, key = given.partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(_digest(key.strip()), self._expected)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
