"""The first rows: those, and nothing of what stands behind them."""

import pytest

from gristmill.errors import OutputError
from gristmill.outputs.head import head
from gristmill.outputs.manifest import read_manifest
from gristmill.storage.location import join
from tests.outputs.conftest import Somewhere
from tests.outputs.work import Work


@pytest.fixture
def work(place: Somewhere) -> Work:
    work = Work(place.storage, place.location, "job-a", shards=12).do()
    work.publish()
    return work


@pytest.mark.parametrize("rows", [0, 1, 3, 24, 100])
def test_the_head_is_the_first_rows_over_as_many_files_as_it_takes(work: Work, rows: int) -> None:
    manifest = read_manifest(work.storage, work.location)
    assert len(manifest.files) > 1
    assert head(work.storage, work.location, manifest, rows=rows).equals(work.rows.slice(0, rows))


def test_the_head_reads_no_file_beyond_its_rows(work: Work) -> None:
    manifest = read_manifest(work.storage, work.location)
    for file in manifest.files[1:]:
        work.storage.delete(join(work.location, file.path))
    assert head(work.storage, work.location, manifest, rows=1).equals(work.rows.slice(0, 1))
    with pytest.raises(OutputError, match=f"{manifest.files[1].path}.*missing"):
        head(work.storage, work.location, manifest, rows=24)
    work.storage.write_bytes(join(work.location, manifest.files[0].path), b"PAR1")
    with pytest.raises(OutputError, match="has 4 bytes, the manifest says"):
        head(work.storage, work.location, manifest, rows=1)
