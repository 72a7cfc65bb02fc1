"""A small service that speaks the OpenAI API on loopback, and takes its time with each answer: for benchmarks.

It must not be the bottleneck: one thread, no framework; an answer is one `write` when its time has come. Run as
`python -m benchmarks.openai_server SECONDS`; the first line printed is the address.
"""

import asyncio
import hashlib
import json
import re
import sys
import time
from typing import Any

__all__ = ["ChatService"]

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
END = b"\r\n\r\n"
FIRST = b"/-/first"
"""Where the time of the first chat is told, and forgotten."""

WORDS = 32


class ChatService:
    """What all connections share.

    Args:
        seconds: that each answer takes.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.first: float | None = None

    def take_first(self) -> bytes:
        """When the first chat came."""
        first, self.first = self.first or 0.0, None
        return _answer(repr(first).encode())

    def chat(self, body: bytes) -> bytes:
        """An answer: words that depend on the last message."""
        if self.first is None:
            self.first = time.time()
        request = json.loads(body)
        content = request["messages"][-1]["content"]
        if not isinstance(content, str):
            content = "".join(part["text"] for part in content)
        word = hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()[:6]
        message = {"role": "assistant", "content": " ".join([word] * WORDS)}
        reply = {
            "id": f"chatcmpl-{word}", "object": "chat.completion", "created": 1_700_000_000, "model": request["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
            "usage": {"prompt_tokens": 40, "completion_tokens": WORDS, "total_tokens": 40 + WORDS},
        }  # fmt: skip
        return _answer(json.dumps(reply).encode())


def _answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class _Connection(asyncio.Protocol):
    def __init__(self, service: ChatService) -> None:
        self._service = service
        self._received = b""
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(END)) >= 0:
            found = LENGTH.search(self._received, 0, end + 2)
            stop = end + len(END) + (int(found[1]) if found else 0)
            if len(self._received) < stop:
                return
            request, self._received = self._received[:stop], self._received[stop:]
            self._answer(request.split(b" ", 2)[1], request[end + len(END) :])

    def _answer(self, target: bytes, body: bytes) -> None:
        service = self._service
        if target == FIRST:
            self._transport.write(service.take_first())
        elif body:
            asyncio.get_running_loop().call_later(service.seconds, self._write, service.chat(body))
        else:
            self._transport.write(_answer(b'{"object": "list", "data": []}'))

    def _write(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


async def _serve(seconds: float) -> None:
    service = ChatService(seconds)
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(service), "127.0.0.1", 0, backlog=4096)
    host, port = server.sockets[0].getsockname()[:2]
    print(f"http://{host}:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))
