"""The manifest: versioned, described by a schema that is current, and honest about what is no manifest."""

import json
from pathlib import Path

import jsonschema
import pytest

from gristmill.errors import OutputError
from gristmill.outputs.claim import claim_location
from gristmill.outputs.layout import SENTINEL
from gristmill.outputs.manifest import Manifest, manifest_schema, read_manifest
from gristmill.storage.location import join
from tests.outputs.conftest import Somewhere
from tests.outputs.work import Work, live

DOCS = Path(__file__).parents[2] / "docs"


def test_the_published_schema_is_current() -> None:
    assert (DOCS / "manifest.schema.json").read_text() == manifest_schema(), (
        "write it anew: python -m gristmill.outputs.manifest > docs/manifest.schema.json"
    )


def test_what_stands_in_a_sentinel_fits_the_schema(place: Somewhere) -> None:
    work = Work(place.storage, place.location, "job-a").do()
    manifest = work.publish()
    data = place.storage.read_bytes(join(place.location, SENTINEL))
    assert data == manifest.to_bytes()
    document = json.loads(data)
    jsonschema.validate(document, json.loads((DOCS / "manifest.schema.json").read_text()))
    assert document["manifest_version"] == 1
    assert document["created"] == "2023-11-14T22:13:20Z"
    assert [column["name"] for column in document["schema"]] == ["job", "row"]


def test_a_summary_has_the_same_size_whatever_the_number_of_files_and_columns(place: Somewhere) -> None:
    manifest = Work(place.storage, place.location, "job-a").do().publish()
    file, column = manifest.files[0], manifest.columns[0]
    large = manifest.model_copy(update={"files": (file,) * 100_000, "columns": (column,) * 5_000})
    summary = large.summary(place.location)
    assert (summary["files"], summary["bytes"]) == (100_000, 100_000 * file.bytes)
    assert len(json.dumps(summary)) < 1_500
    assert summary["location"] == place.location
    assert (summary["job"], summary["rows"], summary["errors"]) == ("job-a", manifest.rows, 0)
    assert summary["created"] == "2023-11-14T22:13:20Z"


def test_no_sentinel_and_nothing_at_work(place: Somewhere) -> None:
    with pytest.raises(OutputError, match=r"holds no _SUCCESS.*nothing seems to be at work"):
        read_manifest(place.storage, place.location)


def test_no_sentinel_and_a_job_at_work(place: Somewhere) -> None:
    claim = claim_location(place.storage, place.location, job="job-a", generation=1, home="/", is_live=live, owner="me")
    with pytest.raises(OutputError, match=r"'job-a' \(me\) has claimed it"):
        read_manifest(place.storage, place.location)
    claim.release()
    with pytest.raises(OutputError, match="run it again to resume"):
        read_manifest(place.storage, place.location)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty: another tool"),
        (b"done\n", "not a manifest"),
        (b'{"manifest_version": 2}', "not a manifest"),
        (b"[]", "not a manifest"),
    ],
)
def test_a_foreign_sentinel_is_named_as_such(place: Somewhere, content: bytes, words: str) -> None:
    place.storage.write_bytes(join(place.location, SENTINEL), content)
    with pytest.raises(OutputError, match=words):
        read_manifest(place.storage, place.location)


@pytest.mark.parametrize("path", ["../part-1.parquet", "/etc/part-1.parquet", "part-/../../x.parquet", "x.parquet"])
def test_a_manifest_names_files_at_its_location_only(place: Somewhere, path: str) -> None:
    work = Work(place.storage, place.location, "job-a").do()
    document = json.loads(work.publish().to_bytes())
    document["files"][0]["path"] = path
    with pytest.raises(OutputError, match=r"files\.0\.path"):
        Manifest.from_bytes(json.dumps(document).encode(), location=place.location)
