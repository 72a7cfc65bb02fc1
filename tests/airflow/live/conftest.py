"""Fixtures of the live tests: one real server, the DAGs that they share, and a folder of rows and jobs for each."""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.airflow.conftest import DAGS
from tests.airflow.live.bench import Bench
from tests.airflow.rest import Rest
from tests.airflow.standalone import Standalone

_LIVE = Path(__file__).parent


@pytest.fixture(scope="session")
def airflow() -> Iterator[Standalone]:
    """One real server for all tests; its folder of DAGs is empty until a test adds what it needs."""
    with Standalone() as server:
        _running.append(server)
        yield server


_running: list[Standalone] = []


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
    server = getattr(item, "funcargs", {}).get("airflow")
    if report.failed and report.when != "teardown" and isinstance(server, Standalone):
        report.sections.append(("airflow standalone", server.log()))
    return report


@pytest.fixture
def bench(airflow: Standalone, tmp_path: Path) -> Bench:
    """Rows, calls and jobs of this test alone."""
    return Bench(airflow, tmp_path)


@pytest.fixture(scope="session")
def rest(airflow: Standalone) -> Rest:
    """The API of the server, which has the DAGs of `live_jobs.py`."""
    airflow.add_dags(DAGS / "live_jobs.py")
    return airflow.rest
