"""Reading back: what the manifest names, whole, in order, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gristmill.errors import OutputError, SchemaError
from gristmill.outputs.read import open_output, read_output
from gristmill.storage.location import join
from tests.outputs.conftest import Somewhere
from tests.outputs.work import Work


@pytest.fixture
def work(place: Somewhere) -> Work:
    work = Work(place.storage, place.location, "job-a", shards=12).do()
    work.publish()
    return work


def test_files_that_the_manifest_does_not_name_are_not_read(work: Work) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(work.rows, sink)
    work.storage.write_bytes(join(work.location, "part-00000-stray-00.parquet"), sink.getvalue().to_pybytes())
    assert read_output(work.storage, work.location).equals(work.rows)
    assert open_output(work.storage, work.location).to_table().equals(work.rows)


def test_columns_come_in_the_order_asked_for(work: Work) -> None:
    assert read_output(work.storage, work.location, columns=["row", "job"]).column_names == ["row", "job"]
    assert read_output(work.storage, work.location, columns=["row"])["row"].to_pylist() == list(range(24))
    assert read_output(work.storage, work.location, columns=[]).num_rows == 24
    with pytest.raises(SchemaError, match="no 'rows'; it has job, row"):
        read_output(work.storage, work.location, columns=["rows"])


@pytest.mark.parametrize("read", [read_output, open_output])
def test_a_missing_file_is_named(work: Work, read: object) -> None:
    name = next(file.path for file in work.publish().files)
    work.storage.delete(join(work.location, name))
    with pytest.raises(OutputError, match=f"{name}.*missing.*1 of 12"):
        read(work.storage, work.location)  # type: ignore[operator]


@pytest.mark.parametrize("read", [read_output, open_output])
def test_a_changed_file_is_named(work: Work, read: object) -> None:
    name = next(file.path for file in work.publish().files)
    work.storage.write_bytes(join(work.location, name), b"PAR1")
    with pytest.raises(OutputError, match=f"{name}.*4 bytes"):
        read(work.storage, work.location)  # type: ignore[operator]


def test_a_process_that_ends_after_reading_ends_well() -> None:
    code = """
from gristmill.outputs.read import read_output
from gristmill.settings import Settings
from gristmill.storage.storage import Storage
from tests.outputs.work import Work
work = Work(Storage(Settings()), "memory:///out", "job-a", shards=12).do()
work.publish()
assert read_output(work.storage, work.location).equals(work.rows)
"""
    for _ in range(3):
        subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
