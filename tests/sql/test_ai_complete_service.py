"""`ai_complete` over a service of ours that dies, and is dropped."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import pytest

import gristmill
import gristmill.sql
from gristmill.settings import Settings


@pytest.fixture
def service(settings: Settings) -> Iterator[gristmill.Service]:
    yield gristmill.create_service("chat", "echo:chat", pool="local", settings=settings)
    gristmill.drop_service("chat", missing_ok=True, settings=settings)


@pytest.fixture
def con(settings: Settings) -> Iterator[Any]:
    with contextlib.closing(gristmill.sql.connect(settings=settings, models=())) as con:
        yield con


def _signal(service: gristmill.Service, number: int) -> None:
    for pid in service.facts()["processes"]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _connections(service: gristmill.Service) -> set[str]:
    """The connections to it, by the addresses of those who hold them."""
    port = f":{urlsplit(service.base_url).port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[1] for row in rows if row[2].endswith(port) and row[3] == "01"}


def test_a_service_that_is_killed_in_mid_query_fails_the_query(
    service: gristmill.Service, con: Any, settings: Settings
) -> None:
    assert con.execute("SELECT ai_complete('Chat', 'hello')").fetchall()[0][0]
    _signal(service, signal.SIGSTOP)  # what is asked now is still on its way when it dies
    before = _connections(service)  # of the first query, kept open
    ended: list[str] = []

    def run() -> None:
        try:
            query = "SELECT ai_complete('chat', 'p' || i, return_error_details => true) FROM range(3000) t(i)"
            con.execute(query).fetchall()
        except duckdb.Error as error:
            ended.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    for _ in range(3_000):
        if not _connections(service) <= before:
            break
        time.sleep(0.02)
    _signal(service, signal.SIGKILL)
    thread.join(120)
    (told,) = ended
    assert "the service 'chat' is FAILED" in told
    assert "no row is at fault" in told
    assert service.api_key not in told
    with pytest.raises(duckdb.Error, match="the service 'chat' is FAILED .*; start it again with create_service"):
        con.execute("SELECT ai_complete('chat', 'p')").fetchall()
    gristmill.drop_service("chat", settings=settings)
    with pytest.raises(duckdb.Error, match="no service and no endpoint 'Chat'; services: none"):
        con.execute("SELECT ai_complete('Chat', 'p')").fetchall()
