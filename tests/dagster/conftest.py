"""Fixtures of the Dagster tests: instances, and a table to work on.

There is no `__init__.py` in this folder: with one, pytest would import the folder under the name `dagster`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gristmill.settings import Settings

# Before anything asks for an instance: none of this machine's is touched, and nothing is reported.
os.environ.pop("DAGSTER_HOME", None)
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance that keeps its runs and events in memory."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def kept_instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance that keeps them in a folder of the test's own, as a real one does."""
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as made:
        yield made


@pytest.fixture
def lake(settings: Settings, tmp_path: Path) -> Path:
    """A folder with orders of three days, ten rows each, in `orders/<day>`."""
    for number, day in enumerate(("2026-01-01", "2026-01-02", "2026-01-03")):
        folder = tmp_path / "lake" / "orders" / day
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"id": range(10 * number, 10 * number + 10)}), folder / "a.parquet")
    return tmp_path / "lake"
