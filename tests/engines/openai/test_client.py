"""The client by itself, in a loop of the test's own."""

import asyncio
import contextlib
import threading
from pathlib import Path

from tests.engines.openai.server import Call, Service, refusal

from gristmill.engines.openai.client import Client
from gristmill.engines.openai.endpoint import endpoint_of
from gristmill.settings import Settings


def client_of(service: Service, **settings: object) -> Client:
    found = Settings.load(endpoints={"lab": {"base_url": service.base_url, **settings}})
    return Client(endpoint_of(found, {"endpoint": "lab"}))


BODY = b'{"model": "tiny", "messages": [{"role": "user", "content": "p"}]}'


def test_it_says_what_runs_and_what_waits(service: Service) -> None:
    async def run() -> None:
        client = client_of(service, window=2)
        is_seen = threading.Event()

        async def hold(call: Call) -> None:
            while not is_seen.is_set():  # noqa: ASYNC110 - another thread sets it
                await asyncio.sleep(0.01)

        service.script = hold
        posts = [asyncio.create_task(client.post("/chat/completions", BODY, read=dict)) for _ in range(5)]
        while not service.calls:  # noqa: ASYNC110 - another thread sets it
            await asyncio.sleep(0.01)
        assert client.gauges() == {"running": 2, "waiting": 3}
        is_seen.set()
        await asyncio.gather(*posts)
        assert client.gauges() == {"running": 0, "waiting": 0}

    asyncio.run(run())


def test_a_row_that_waits_for_its_next_try_is_waiting(service: Service) -> None:
    async def run() -> None:
        client = client_of(service)
        service.script = lambda call: refusal(500, "no")
        post = asyncio.create_task(client.post("/chat/completions", BODY, read=dict))
        while client.gauges() != {"running": 0, "waiting": 1} or not service.calls:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
        post.cancel()
        await asyncio.wait([post])
        assert client.gauges() == {"running": 0, "waiting": 0}

    asyncio.run(run())


def test_what_it_opens_is_closed_with_the_loop(service: Service) -> None:
    def sockets() -> int:
        count = 0
        for fd in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                count += "socket:" in str(fd.readlink())
        return count

    async def run() -> int:
        client = client_of(service, window=20)
        service.latency = 0.05
        await asyncio.gather(*(client.post("/chat/completions", BODY, read=dict) for _ in range(20)))
        return sockets()

    before = sockets()
    assert asyncio.run(run()) >= before + 20
    service.stop()  # whose own ends are closed by now, or here
    assert sockets() <= before
