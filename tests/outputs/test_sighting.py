"""What is seen of a sentinel, whoever wrote it, on a disk, in memory and in a bucket."""

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from gristmill.errors import LocationError
from gristmill.outputs.layout import SENTINEL
from gristmill.outputs.manifest import with_files
from gristmill.outputs.sighting import Sighting, sight
from gristmill.storage.location import join
from gristmill.storage.storage import Storage
from tests.conftest import S3Server
from tests.outputs.conftest import Somewhere
from tests.outputs.silent import Silent
from tests.outputs.work import Work


def put(place: Somewhere, data: bytes) -> None:
    place.storage.write_bytes(join(place.location, SENTINEL), data)


def test_a_location_without_a_sentinel_is_no_error(place: Somewhere) -> None:
    assert sight(place.storage, place.location) == Sighting(place.location)
    place.storage.write_bytes(join(place.location, "part.parquet"), b"x")
    assert not sight(place.storage, place.location).exists
    assert sight(place.storage, place.location).identity is None


def test_a_manifest_is_seen_with_its_summary(place: Somewhere) -> None:
    manifest = Work(place.storage, place.location, "job-a").do().publish()
    seen = sight(place.storage, place.location)
    assert seen.manifest == manifest
    assert seen.summary() == manifest.summary(place.location)
    assert json.dumps(seen.summary())


def test_a_manifest_that_has_not_changed_is_not_read_again(place: Somewhere) -> None:
    Work(place.storage, place.location, "job-a").do().publish()
    seen = sight(place.storage, place.location)
    again = sight(place.storage, place.location, before=seen)
    assert (again is seen) == (":" in seen.version and not re.match("[0-9a-f]{64}:", seen.version))
    assert again == seen


def test_a_later_publication_is_another_sentinel(place: Somewhere) -> None:
    Work(place.storage, place.location, "job-a").do().publish()
    first = sight(place.storage, place.location)
    Work(place.storage, place.location, "job-b").do().publish(generation=2)
    second = sight(place.storage, place.location, before=first)
    assert second.manifest is not None
    assert second.manifest.job == "job-b"
    assert second.identity != first.identity


def test_the_same_manifest_written_again_is_the_same_sentinel(place: Somewhere) -> None:
    manifest = Work(place.storage, place.location, "job-a").do().publish()
    first = sight(place.storage, place.location)
    put(place, manifest.to_bytes())
    assert sight(place.storage, place.location).identity == first.identity


@pytest.mark.parametrize(
    ("data", "flaw"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"done\n", "not a manifest"),
        (b'{"status": "ok"}', "not a manifest"),
        (b"\xff\x00\xfe" * 100, "not a manifest"),
        (b'{"manifest_version": 2}', "not a manifest"),
        (os.urandom(64) * 40_000, "not a manifest"),
        (b"[" * 3_000_000, "not a manifest"),
        (b'{"a":1,"files":[\n' + b'{"path":"part-0.parquet","rows":1,"bytes":1},\n' * 60_000, "not a manifest"),
    ],
    ids=["empty", "blank", "words", "json", "binary", "later", "large-binary", "deep", "large-unfinished"],
)
def test_what_is_no_manifest_is_seen_as_there(place: Somewhere, data: bytes, flaw: str) -> None:
    put(place, data)
    seen = sight(place.storage, place.location)
    assert (seen.exists, seen.manifest, seen.flaw) == (True, None, flaw)
    assert seen.modified is not None
    assert abs((datetime.now(UTC) - seen.modified).total_seconds()) < 600
    assert seen.summary() == {"location": place.location}
    assert sight(place.storage, place.location).identity == seen.identity


def test_a_foreign_sentinel_that_is_written_again_is_another_one(storage: Storage, tmp_path: Path) -> None:
    file = tmp_path / SENTINEL
    file.touch()
    first = sight(storage, str(tmp_path))
    os.utime(file, (1_800_000_000, 1_800_000_000))
    second = sight(storage, str(tmp_path), before=first)
    assert second.identity != first.identity
    assert second.modified == datetime.fromtimestamp(1_800_000_000, UTC)


@pytest.mark.parametrize("count", [20_000, 200_000])
def test_a_large_manifest_is_counted_and_not_carried(place: Somewhere, count: int) -> None:
    small = Work(place.storage, place.location, "job-a").do().publish()
    head = small.model_dump_json(exclude={"files"})
    put(place, with_files(head, ((f"part-{number:07d}-a-b.parquet", 2, 1000) for number in range(count))))
    seen = sight(place.storage, place.location)
    assert seen.manifest == small.model_copy(update={"files": ()})
    assert seen.summary() == {**small.summary(place.location), "files": count, "bytes": 1000 * count}


def test_a_large_manifest_that_was_cut_off_is_none(place: Somewhere) -> None:
    small = Work(place.storage, place.location, "job-a").do().publish()
    head = small.model_dump_json(exclude={"files"})
    whole = with_files(head, ((f"part-{number:07d}-a-b.parquet", 2, 1000) for number in range(100_000)))
    for cut in (whole[:-1], whole[:-2], whole[:5_000_000], whole + b"x", whole.replace(b"rows", b"rowz")):
        put(place, cut)
        assert sight(place.storage, place.location).flaw == "not a manifest"


def test_a_large_manifest_of_many_columns_and_no_files_is_read(place: Somewhere) -> None:
    small = Work(place.storage, place.location, "job-a").do().publish()
    column = small.columns[0]
    wide = small.model_copy(update={"columns": (column,) * 40_000, "files": ()})
    put(place, wide.to_bytes())
    assert len(wide.to_bytes()) > 1024**2
    assert sight(place.storage, place.location).manifest == wide


def test_a_stage_is_resolved(s3: S3Server) -> None:
    storage = Storage(s3.settings)
    storage.write_bytes(f"{s3.root}/day/_SUCCESS", b"")
    assert sight(storage, "@db.public.bucket/day").location == f"{s3.root}/day"


def test_a_bucket_that_is_not_there_is_not_yet(s3: S3Server) -> None:
    assert not sight(Storage(s3.settings), "s3://no-such-bucket-anywhere/day").exists


def test_a_file_or_a_folder_in_the_wrong_place_is_no_sentinel(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not sight(storage, str(tmp_path / "file")).exists
    (tmp_path / SENTINEL).mkdir()
    assert not sight(storage, str(tmp_path)).exists


@pytest.mark.parametrize(
    ("location", "words"),
    [("@nowhere/x", "names the stage"), ("", "is empty"), ("/data/_SUCCESS", "names the sentinel itself")],
)
def test_a_location_that_cannot_be_right_is_refused(storage: Storage, location: str, words: str) -> None:
    with pytest.raises(LocationError, match=words):
        sight(storage, location)


class Moody(MemoryFileSystem):
    """A filesystem that fails as the path says."""

    protocol = "moody"

    def info(self, path, **options):
        raise {"refused": PermissionError(13, "no key"), "slow": TimeoutError("5 s")}[
            "refused" if "refused" in path else "slow"
        ]


def test_refused_credentials_are_an_error_and_time_outs_are_trouble(storage: Storage) -> None:
    fsspec.register_implementation("moody", Moody, clobber=True)
    with pytest.raises(PermissionError, match="no key"):
        sight(storage, "moody://refused/x")
    seen = sight(storage, "moody://slow/x")
    assert (seen.exists, seen.trouble) == (False, "TimeoutError: 5 s")


def test_storage_that_tells_no_version_is_read_each_time(storage: Storage) -> None:
    fsspec.register_implementation("silent", Silent, clobber=True)
    place = Somewhere(storage, "silent://here/out")
    put(place, b"one")
    first = sight(storage, place.location)
    put(place, b"two")
    second = sight(storage, place.location, before=first)
    assert first.modified is None
    assert first.identity != second.identity
