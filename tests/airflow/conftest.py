"""Fixtures of the Airflow tests: an Airflow home of their own, and runs in this process.

There is no `__init__.py` in this folder: with one, pytest would import the folder under the name `airflow`.
"""

import atexit
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gristmill.settings import Settings

if TYPE_CHECKING:
    from tests.airflow.in_process import Run

DAGS = Path(__file__).parent / "dags"
EXAMPLES = Path(__file__).parents[2] / "example_dags"
_HOME = Path(tempfile.mkdtemp(prefix="gristmill-airflow-"))
_AIRFLOW = Path(sys.executable).with_name("airflow")


def _remove_home(owner: int) -> None:
    if os.getpid() == owner:  # a forked child that exits must not take the home of its parent
        shutil.rmtree(_HOME, ignore_errors=True)


def _bundles() -> str:
    """Where runs in this process find DAGs: those of the tests, and the examples."""
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    places = {"dags-folder": DAGS, "examples": EXAMPLES}
    return json.dumps([{"name": n, "classpath": local, "kwargs": {"path": str(p)}} for n, p in places.items()])


# Before anything imports Airflow: it reads its home and its configuration once, as it is imported.
atexit.register(_remove_home, os.getpid())
for _name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
    del os.environ[_name]
os.environ |= {
    "AIRFLOW_HOME": str(_HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",  # on a busy machine a file takes long
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": _bundles(),
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME / 'airflow.db'}",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(_HOME / "logs"),
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "PATH": f"{_AIRFLOW.parent}{os.pathsep}{os.environ['PATH']}",
}


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """The metadata database of this process, with its tables."""
    done = subprocess.run([_AIRFLOW, "db", "migrate"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"`airflow db migrate` failed:\n{done.stdout}{done.stderr}"


@pytest.fixture
def run_dag(airflow_db: None, settings: Settings) -> Iterator[Callable[..., "Run"]]:
    """Runs a DAG in this process and returns how it went; see `tests.airflow.in_process.run`.

    Jobs have the home of `settings`, one for each test.
    """
    # Airflow changes these for the whole process, the most as it is imported, the last as it runs a task.
    root = logging.getLogger()
    handlers, level, show = root.handlers[:], root.level, warnings.showwarning
    on_term = signal.getsignal(signal.SIGTERM)
    from tests.airflow.in_process import run

    yield run
    root.handlers[:] = handlers
    root.setLevel(level)
    warnings.showwarning = show
    signal.signal(signal.SIGTERM, on_term)
