"""Fixtures of the live tests: one real server, and a folder of rows and jobs for each asset."""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.bench import Bench
from tests.dagster.dev import Dev
from tests.dagster.graphql import GraphQL

_LIVE = Path(__file__).parent
_SECRETS = {
    "LIVE_API_KEY": "sk-live-3f81c2ab90",
    "LIVE_S3_KEY": "some-user",
    "LIVE_S3_SECRET": "hidden-option-77d1e0",
}


@pytest.fixture(scope="session")
def dagster() -> Iterator[Dev]:
    """One real server for all tests, with the definitions of `live.py`."""
    with Dev("tests.dagster.definitions.live", environment=_SECRETS) as server:
        _running.append(server)
        yield server


_running: list[Dev] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, Any, Any]:
    """The server ends with the last test of this folder: those that follow need the machine."""
    result = yield
    if nextitem is None or _LIVE not in nextitem.path.parents:
        for server in _running:
            server.stop()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """A failed test shows what its server printed."""
    report = yield
    server = getattr(item, "funcargs", {}).get("dagster")
    if report.failed and report.when != "teardown" and isinstance(server, Dev):
        told = [line for line in server.log(lines=2000).splitlines() if " DEBUG " not in line]
        report.sections.append(("dagster dev", "\n".join(told[-100:])))
    return report


@pytest.fixture(scope="session")
def graphql(dagster: Dev) -> GraphQL:
    """The API of the server."""
    return dagster.graphql


@pytest.fixture
def bench(dagster: Dev) -> Callable[[str], Bench]:
    """Rows, calls and jobs of an asset, by its name. Each test has assets of its own."""
    return lambda asset: Bench(dagster.data / asset, dagster.home / "gristmill")
