import contextlib
import http.server
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from urllib.parse import unquote

import pyarrow as pa
import pytest

from gristmill.inputs.block import Block
from gristmill.resolve.columns import ColumnResolver
from gristmill.resolve.window import FetchWindow
from gristmill.settings import ResolverSettings, Settings
from gristmill.spec.input import ColumnHandling
from gristmill.storage.access import AccessPolicy
from gristmill.storage.storage import Storage

RAW = ColumnHandling(input_format="full_stage_path", convert_to="raw_bytes")
Place = tuple[Storage, str, str]
SECRET = "SECRET-IN-THE-ANSWER"


class ScriptedServer(http.server.ThreadingHTTPServer):
    """Answers by what the path says, and counts.

    The last part of a path is a list of answers, one for each request, the last one for all after it: `503,503,200`.
    `N*200` gives a body of N bytes; `hang` never answers, `drop` breaks off in the body, `to:PATH` redirects.
    """

    request_queue_size = 256
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock = threading.Lock()
        self.requests: Counter[str] = Counter()
        self.in_flight = 0
        self.peak = 0
        self.unsent = 0
        self.stopping = threading.Event()
        self.pause = 0.0

    @property
    def root(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedServer

    def do_GET(self) -> None:
        server = self.server
        path = unquote(self.path)
        with server.lock:
            server.requests[path] += 1
            number = server.requests[path]
            server.in_flight += 1
            server.peak = max(server.peak, server.in_flight)
        time.sleep(server.pause)
        with server.lock:
            server.in_flight -= 1
        answers = path.rpartition("/")[2].split(",")
        self._answer(answers[min(number, len(answers)) - 1])

    def _answer(self, answer: str) -> None:
        if answer == "hang":
            self.server.stopping.wait(30)
            self.close_connection = True
            return
        if answer == "drop":
            self._head(200, 100)
            self.wfile.write(b"x" * 10)
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        if answer.startswith("to:"):
            self.send_response(302)
            self.send_header("Location", answer[3:].replace("|", "/"))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        size, _, status = answer.rpartition("*")
        body = b"x" * int(size) if size else answer.encode() if status == "200" else SECRET.encode()
        self._head(int(status), len(body))
        self.wfile.write(body)

    def _head(self, status: int, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("ETag", '"tag"')
        self.send_header("Last-Modified", "Fri, 20 Nov 2026 13:00:00 GMT")
        self.end_headers()

    def handle(self) -> None:
        """Answer; a client that goes away is no news."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A running server."""
    scripted = ScriptedServer()
    thread = threading.Thread(target=scripted.serve_forever, args=(0.01,))
    thread.start()
    yield scripted
    scripted.stopping.set()
    scripted.shutdown()
    scripted.server_close()
    thread.join()


@pytest.fixture(params=["s3", "http"])
def place(request: pytest.FixtureRequest, server: ScriptedServer, settings: Settings) -> tuple[Storage, str, str]:
    """A storage, the location of the server's root on it, and what paths at the server start with."""
    if request.param == "http":
        return Storage(settings), server.root, ""
    options = {"s3": {"endpoint_url": server.root}}
    return Storage(settings.model_copy(update={"storage_options": options})), "s3://bucket", "/bucket"


LIMITS = ResolverSettings(backoff=0.001, timeout=5.0, attempts=4)


def resolve(storage: Storage, root: str, paths: list, limits: ResolverSettings = LIMITS, **options) -> list[Block]:
    """The blocks of rows that name these files, `rows` at a time."""
    size = options.pop("rows", len(paths))
    resolver = ColumnResolver(
        {"file": RAW}, storage=storage, access=AccessPolicy(storage, (root,)), limits=limits, **options
    )
    blocks = []
    for start in range(0, len(paths), size):
        batch = pa.RecordBatch.from_pydict({"file": paths[start : start + size]})
        blocks.append(Block(0, start, batch, batch))
    try:
        return list(resolver.resolve(blocks))
    finally:
        resolver.close()


def cells(blocks: list[Block]) -> list:
    """The content of all rows."""
    return [cell for block in blocks for cell in block.model_rows.column("file").to_pylist()]


@pytest.mark.parametrize("script", ["503,200", "500,502,504,200", "429,200", "drop,200"])
def test_a_failure_that_passes_is_tried_again(server: ScriptedServer, place: Place, script: str) -> None:
    storage, root, base = place
    done = resolve(storage, root, [f"{root}/x/{script}"])
    assert [block.errors for block in done] == [{}]
    assert cells(done) == [b"200"]
    assert server.requests == {f"{base}/x/{script}": script.count(",") + 1}


def test_tries_end(server: ScriptedServer, place: Place) -> None:
    storage, root, base = place
    (done,) = resolve(storage, root, [f"{root}/503", f"{root}/200", f"{root}/drop"])
    assert cells([done]) == [None, b"200", None]
    assert done.errors[0].message.endswith("(after 4 tries)")
    assert "503" in done.errors[0].message
    assert done.errors[2].message.endswith("(after 4 tries)")
    assert server.requests == {f"{base}/503": 4, f"{base}/200": 1, f"{base}/drop": 4}


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, "FileNotFoundError"), (403, "PermissionError"), (401, "PermissionError"), (400, "OSError")],
)
def test_what_will_not_pass_is_tried_once(server: ScriptedServer, place: Place, status: int, kind: str) -> None:
    storage, root, base = place
    (done,) = resolve(storage, root, [f"{root}/{status}"])
    error = done.errors[0]
    assert (error.type, error.step, error.reference) == (kind, "resolve", f"{root}/{status}")
    assert SECRET not in error.message
    assert server.requests == {f"{base}/{status}": 1}


def test_a_server_that_hangs_is_a_timeout_and_the_others_go_on(server: ScriptedServer, place: Place) -> None:
    storage, root, base = place
    limits = ResolverSettings(backoff=0.001, timeout=1.5, attempts=2)
    (done,) = resolve(storage, root, [f"{root}/hang", f"{root}/200", f"{root}/x/hang,200"], limits)
    assert cells([done]) == [None, b"200", b"200"]
    assert done.errors[0].type == "TimeoutError"
    assert server.requests[f"{base}/hang"] == 2


def test_a_server_that_is_not_there_is_an_error_of_the_row(settings: Settings) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
        storage = Storage(settings.model_copy(update={"storage_options": {"s3": {"endpoint_url": address}}}))
        limits = ResolverSettings(backoff=0.001, timeout=5.0, attempts=2)
        for root in (address, "s3://bucket"):
            (done,) = resolve(storage, root, [f"{root}/x"], limits)
            assert done.errors[0].type == "OSError"
            assert "(after 2 tries)" in done.errors[0].message


def test_a_file_is_fetched_once_for_rows_near_each_other(server: ScriptedServer, place: Place) -> None:
    storage, root, base = place
    server.pause = 0.02
    names = [f"{root}/{number % 5}/200" for number in range(100)]
    assert cells(resolve(storage, root, names, rows=10)) == [b"200"] * 100
    assert server.requests == {f"{base}/{number}/200": 1 for number in range(5)}


def test_a_failure_is_not_kept_for_later_rows(server: ScriptedServer, place: Place) -> None:
    storage, root, base = place
    limits = ResolverSettings(attempts=1, max_in_flight=1)
    script = f"{root}/503,200"
    paths = [script] + [f"{root}/{number}/200" for number in range(10)] + [script]
    done = resolve(storage, root, paths, limits, rows=1)
    assert cells(done) == [None] + [b"200"] * 11
    assert server.requests[f"{base}/503,200"] == 2


def test_the_window_is_full_across_blocks_and_never_fuller(server: ScriptedServer, place: Place) -> None:
    storage, root, _ = place
    server.pause = 0.2
    limits = ResolverSettings(max_in_flight=6)
    done = resolve(storage, root, [f"{root}/{number}/200" for number in range(60)], limits, rows=2)
    assert cells(done) == [b"200"] * 60
    assert server.peak == 6


def test_bytes_in_flight_are_bounded_also_when_sizes_surprise(
    server: ScriptedServer, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, root, _ = place
    most = 0
    reserve = FetchWindow._reserve

    def watched(self: FetchWindow, fetch, size: int) -> bool:
        nonlocal most
        let_in = reserve(self, fetch, size)
        if let_in and not fetch.urgent:
            most = max(most, self._bytes)
        return let_in

    monkeypatch.setattr(FetchWindow, "_reserve", watched)
    size = 300_000
    limits = ResolverSettings(max_in_flight=16, max_bytes_in_flight=1_000_000)
    paths = [f"{root}/{number}/1*200" for number in range(20)] + [f"{root}/{number}/{size}*200" for number in range(20)]
    done = resolve(storage, root, paths, limits, rows=5, target_bytes=2 * size)
    assert [len(cell) for cell in cells(done)] == [1] * 20 + [size] * 20
    assert all(not block.errors for block in done)
    assert size < most <= 1_000_000


def test_a_file_larger_than_the_window_is_let_in_alone(server: ScriptedServer, place: Place) -> None:
    storage, root, _ = place
    limits = ResolverSettings(max_in_flight=8, max_bytes_in_flight=1000)
    paths = [f"{root}/{number}/{size}*200" for number, size in enumerate([10, 5000, 600, 600, 3000, 1, 700])]
    done = resolve(storage, root, paths * 2, limits, rows=3)
    assert [len(cell) for cell in cells(done)] == [10, 5000, 600, 600, 3000, 1, 700] * 2


def test_a_file_over_the_limit_is_refused_before_it_is_read(server: ScriptedServer, place: Place) -> None:
    storage, root, base = place
    limits = ResolverSettings(max_file_bytes=100)
    (done,) = resolve(storage, root, [f"{root}/101*200", f"{root}/100*200"], limits)
    assert done.errors[0].type == "FileTooLargeError"
    assert "resolver.max_file_bytes" in done.errors[0].message
    assert len(cells([done])[1]) == 100
    assert server.requests[f"{base}/101*200"] == 1


def test_a_redirect_is_judged_like_a_reference(server: ScriptedServer, storage: Storage) -> None:
    root = f"{server.root}/ok"
    paths = [
        f"{root}/to:|ok|200",
        f"{root}/to:{server.root.replace('/', '|')}|ok|x|200",
        f"{root}/to:|private|200",
        f"{root}/to:file:|||etc|passwd",
        f"{root}/to:http:||169.254.169.254|latest",
        f"{root}/to:|ok|..|private|200",
        f"{root}/to:|ok|loop|to:|ok|200",
    ]
    (done,) = resolve(storage, root, paths[:6])
    assert cells([done]) == [b"200", b"200", None, None, None, None]
    assert {error.type for error in done.errors.values()} == {"AccessError"}
    assert not any("private" in path and "to:" not in path for path in server.requests)


def test_private_addresses_are_not_reached_by_a_name(server: ScriptedServer, storage: Storage) -> None:
    # `localhost` without its port says nothing of this port; a name that leads here is judged by its address.
    for host in ("127.0.0.1.nip.invalid", "localhost"):
        policy = AccessPolicy(storage, (f"http://{host}:1/", f"http://{host}/"))
        resolver = ColumnResolver({"file": RAW}, storage=storage, access=policy, limits=LIMITS)
        rows = pa.RecordBatch.from_pydict({"file": [f"http://{host}:{server.server_port}/200"]})
        (done,) = resolver.resolve([Block(0, 0, rows, rows)])
        resolver.close()
        assert done.errors[0].type == "AccessError"
    assert server.requests == {}


def test_a_name_that_leads_to_this_machine_is_refused_where_it_connects(
    server: ScriptedServer, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A public name whose DNS answer is private: only the resolver is replaced, as a hostile DNS server would.
    address = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.server_port))]
    monkeypatch.setattr("gristmill.storage.web.socket.getaddrinfo", lambda *_, **__: address)
    (done,) = resolve(storage, "http://cdn.example.com", ["http://cdn.example.com/200"])
    assert done.errors[0].type == "AccessError"
    assert "127.0.0.1" in done.errors[0].message
    assert server.requests == {}
    (done,) = resolve(storage, "http://cdn.example.com:8080", ["http://cdn.example.com:8080/200"])
    assert cells([done]) == [b"200"]


def test_closing_does_not_wait_for_a_server_that_hangs(server: ScriptedServer, storage: Storage) -> None:
    woken = threading.Event()
    window = FetchWindow(storage, AccessPolicy(storage, (server.root,)), ResolverSettings(timeout=1.0), wake=woken.set)
    window.request(f"{server.root}/hang")
    fine = window.request(f"{server.root}/200")
    window.flush()
    if window.wait_for(fine):
        assert woken.wait(10)
    assert fine.content == b"200"
    window.close()
    assert sum(thread.is_alive() for thread in window._threads) <= 1
