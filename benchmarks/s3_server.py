"""A small S3-protocol server for reading on loopback: GET (ranges too), HEAD and ListObjectsV2 of files held in memory.

The benchmarks need a server that is not the bottleneck: all objects are in memory, one thread waits with epoll, and
an answer is one `send`. Signatures are not checked. Run as `python -m benchmarks.s3_server BUCKET PREFIX FOLDER`; the
first line printed is the address.
"""

import hashlib
import re
import select
import socket
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

__all__ = ["ObjectServer"]

DATE = "Thu, 01 Jan 2026 00:00:00 GMT"
RANGE = re.compile(rb"\r\nrange: bytes=(\d*)-(\d*)", re.IGNORECASE)
END = b"\r\n\r\n"
FIRST = b"/-/first"
"""Where the time of the first request is told, and forgotten; asked with the header `x-benchmark`."""


class ObjectServer:
    """Serves objects.

    Args:
        bucket: the bucket's name; paths are `/bucket/key`.
        objects: contents by key.
    """

    def __init__(self, bucket: str, objects: dict[str, bytes]) -> None:
        self._bucket = bucket
        self._keys = sorted(objects)
        self._objects = {f"/{bucket}/{key}": (content, _etag(content)) for key, content in objects.items()}
        self._whole = {
            path.encode(): _head(200, len(content), etag) + content for path, (content, etag) in self._objects.items()
        }
        self._first: float | None = None
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)  # noqa: FBT003
        self._clients: dict[int, socket.socket] = {}
        self._received: dict[int, bytes] = {}
        self._unsent: dict[int, memoryview] = {}

    @property
    def address(self) -> str:
        """Such as `http://127.0.0.1:40001`."""
        return "http://{}:{}".format(*self._listener.getsockname())

    def serve(self) -> None:
        """Answer until the process is ended."""
        poll = select.epoll()
        poll.register(self._listener, select.EPOLLIN)
        accepting = self._listener.fileno()
        while True:
            for number, event in poll.poll():
                if number == accepting:
                    client, _ = self._listener.accept()
                    client.setblocking(False)  # noqa: FBT003
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._clients[client.fileno()] = client
                    poll.register(client, select.EPOLLIN)
                    continue
                try:
                    alive = self._write(number) if event & select.EPOLLOUT else self._read(number)
                except OSError:
                    alive = False
                if alive:
                    unsent = number in self._unsent
                    if unsent or event & select.EPOLLOUT:
                        poll.modify(number, select.EPOLLOUT if unsent else select.EPOLLIN)
                else:
                    poll.unregister(number)
                    self._clients.pop(number).close()
                    self._received.pop(number, None)
                    self._unsent.pop(number, None)

    def _read(self, number: int) -> bool:
        data = self._clients[number].recv(65536)
        if not data:
            return False
        data = self._received.pop(number, b"") + data
        answers = []
        while (end := data.find(END)) >= 0:
            answers.append(self._answer(data[: end + 2]))
            data = data[end + 4 :]
        if data:
            self._received[number] = data
        return self._send(number, answers[0] if len(answers) == 1 else b"".join(answers))

    def _write(self, number: int) -> bool:
        return self._send(number, self._unsent.pop(number))

    def _send(self, number: int, answer: bytes | memoryview) -> bool:
        try:
            sent = self._clients[number].send(answer)
        except BlockingIOError:
            sent = 0
        if sent < len(answer):
            self._unsent[number] = memoryview(answer)[sent:]
        return True

    def _answer(self, request: bytes) -> bytes:
        method, target, _ = request.split(b" ", 2)
        ranged = RANGE.search(request)
        if self._first is None and b"x-benchmark" not in request:
            self._first = time.time()
        if method == b"GET" and ranged is None and target in self._whole:
            return self._whole[target]
        path, _, query = target.decode().partition("?")
        found = self._objects.get(unquote(path))
        if found and method in (b"GET", b"HEAD"):
            content, etag = found
            if ranged:
                start, stop = _bounds(ranged, len(content))
                part = content[start:stop]
                head = _head(206, len(part), etag, f"Content-Range: bytes {start}-{stop - 1}/{len(content)}\r\n")
                return head + (part if method == b"GET" else b"")
            return _head(200, len(content), etag) + (content if method == b"GET" else b"")
        if method == b"GET" and unquote(path).strip("/") == self._bucket:
            return self._listing(parse_qs(query))
        if target == FIRST:
            first, self._first = self._first or 0.0, None
            return _head(200, len(repr(first)), "") + repr(first).encode()
        return _head(404 if method in (b"GET", b"HEAD") else 405, 0, "")

    def _listing(self, query: dict[str, list[str]]) -> bytes:
        prefix = query.get("prefix", [""])[0]
        after = query.get("continuation-token", query.get("start-after", [""]))[0]
        limit = int(query.get("max-keys", ["1000"])[0])
        keys = [key for key in self._keys if key.startswith(prefix) and key > after]
        page, more = keys[:limit], len(keys) > limit
        contents = "".join(
            "<Contents><Key>{}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;{}&quot;</ETag>"
            "<Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>".format(
                escape(key), self._objects[f"/{self._bucket}/{key}"][1], len(self._objects[f"/{self._bucket}/{key}"][0])
            )
            for key in page
        )
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{self._bucket}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount>"
            f"<MaxKeys>{limit}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>{token}{contents}</ListBucketResult>"
        ).encode()
        return _head(200, len(body), "", "Content-Type: application/xml\r\n") + body


def _etag(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _head(status: int, length: int, etag: str, more: str = "") -> bytes:
    reason = {200: "OK", 206: "Partial Content", 404: "Not Found", 405: "Method Not Allowed"}[status]
    tag = f'ETag: "{etag}"\r\n' if etag else ""
    return (
        f"HTTP/1.1 {status} {reason}\r\nContent-Length: {length}\r\nLast-Modified: {DATE}\r\n"
        f"Accept-Ranges: bytes\r\n{tag}{more}\r\n"
    ).encode()


def _bounds(ranged: "re.Match[bytes]", size: int) -> tuple[int, int]:
    first, last = ranged[1], ranged[2]
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(int(last) + 1, size) if last else size


if __name__ == "__main__":
    bucket, prefix, folder = sys.argv[1:]
    files = {f"{prefix}/{path.name}": path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}
    server = ObjectServer(bucket, files)
    print(server.address, flush=True)
    server.serve()
