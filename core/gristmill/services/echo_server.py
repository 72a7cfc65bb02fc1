"""`echo:chat` over HTTP: a server for first steps and tests, which answers with what the user said last.

Run as `python -m gristmill.services.echo_server --host=... --port=... --model=...`; the key is in the environment.
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pyarrow as pa

from gristmill.chat.messages import messages_text, parse_messages
from gristmill.chat.params import CHAT_PARAMS, check_chat_params, unset_params
from gristmill.engines.echo import EchoEngine
from gristmill.engines.protocol import LoadContext
from gristmill.errors import MessagesError, SpecError
from gristmill.models.params import check_params
from gristmill.models.signature import Signature
from gristmill.services.guard import VARIABLE
from gristmill.settings import Settings
from gristmill.storage.storage import Storage

__all__ = ["answer"]

_SCHEMA = pa.schema([("messages", pa.string())])
_PARAMS = Signature(params=unset_params(CHAT_PARAMS))
"""Only what a request gives: servers have no bound on tokens of their own."""

_KNOWN = frozenset(param.name for param in CHAT_PARAMS) - {"model"}
_MOST = 256 * 1024**2


def answer(request: Any, *, model: str) -> dict[str, Any]:
    """The response to a request of `/v1/chat/completions`.

    Args:
        request: the body, as JSON says it.
        model: what the model is called.

    Raises:
        SpecError, MessagesError: the request cannot be right.
        LookupError: it asks for another model.

    Example:
        >>> said = answer({"model": "echo", "messages": [{"role": "user", "content": "hello"}]}, model="echo")
        >>> said["choices"][0]["message"]["content"]
        'hello'
    """
    if not isinstance(request, dict):
        raise SpecError("the request is no JSON object")
    if request.get("model", model) != model:
        raise LookupError(f"there is no model {request['model']!r}, only {model!r}")
    given = {name: value for name, value in request.items() if name in _KNOWN and value is not None}
    if "max_tokens" in request:
        given.setdefault("max_completion_tokens", request["max_tokens"])
    params = check_chat_params(check_params(given, _PARAMS))
    text = messages_text(parse_messages(request.get("messages")))
    context = LoadContext("echo:chat", "chat", Storage(Settings()), _SCHEMA, {**params, "model": model})
    return dict(asyncio.run(EchoEngine().load(context).infer_row({"messages": text})))  # type: ignore[union-attr]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_GET(self) -> None:
        if self.path == "/health":
            self._say(200, {})
        elif self._is_allowed() and self.path == "/v1/models":
            self._say(200, {"object": "list", "data": [{"id": self.server.model, "object": "model"}]})
        elif self._is_allowed():
            self._refuse(404, f"there is no {self.path}")

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        if size > _MOST:
            self.close_connection = True
            self._refuse(413, f"the request has more than {_MOST:,} bytes")
            return
        body = self.rfile.read(size)
        if not self._is_allowed():
            return
        if self.path != "/v1/chat/completions":
            self._refuse(404, f"there is no {self.path}")
            return
        try:
            response = answer(json.loads(body), model=self.server.model)
        except LookupError as error:
            self._refuse(404, str(error))
        except (SpecError, MessagesError, ValueError) as error:
            self._refuse(400, str(error))
        else:
            self._say(200, response)

    def _is_allowed(self) -> bool:
        scheme, _, key = self.headers.get("Authorization", "").partition(" ")
        given = hashlib.sha256(key.strip().encode()).digest()
        if scheme.lower() == "bearer" and hmac.compare_digest(given, self.server.expected):
            return True
        self._refuse(401, "the key is missing or wrong")
        return False

    def _refuse(self, status: int, message: str) -> None:
        self._say(status, {"error": {"message": message, "type": "invalid_request_error", "code": status}})

    def _say(self, status: int, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        if self.path not in ("/health", "/v1/models"):
            super().log_request(code, size)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, host: str, port: int, *, model: str, key: str) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.model = model
        self.expected = hashlib.sha256(key.encode()).digest()
        super().__init__((host, port), _Handler)


def _main() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True)
    given = parser.parse_args()
    with _Server(given.host, given.port, model=given.model, key=os.environ[VARIABLE]) as server:
        server.serve_forever()


if __name__ == "__main__":
    _main()
