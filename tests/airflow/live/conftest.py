"""Fixtures of the live tests: the DAGs that they share, and a folder of rows and jobs for each."""

from pathlib import Path

import pytest
from tests.airflow.conftest import DAGS
from tests.airflow.live.bench import Bench
from tests.airflow.rest import Rest
from tests.airflow.standalone import Standalone


@pytest.fixture
def bench(airflow: Standalone, tmp_path: Path) -> Bench:
    """Rows, calls and jobs of this test alone."""
    return Bench(airflow, tmp_path)


@pytest.fixture(scope="session")
def rest(airflow: Standalone) -> Rest:
    """The API of the server, which has the DAGs of `live_jobs.py`."""
    airflow.add_dags(DAGS / "live_jobs.py")
    return airflow.rest
