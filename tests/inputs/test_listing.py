import os
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from gristmill.errors import EmptyInputError, LocationError, SpecError
from gristmill.inputs.listing import list_files
from gristmill.settings import Settings
from gristmill.storage.access import AccessPolicy
from gristmill.storage.storage import Storage


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of a few files."""
    folder = tmp_path / "images"
    (folder / "cats").mkdir(parents=True)
    for name in ("b.jpg", "a.png", "cats/tom.jpg", "cats/odd name [1]%.jpg", "notes.txt"):
        (folder / name).write_bytes(b"")
    return folder


def test_a_path_gives_absolute_paths_in_order(storage: Storage, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(images.parent)
    for location in (str(images), f"{images}/", "images", f"file://{images}"):
        listing = list_files(storage, location)
        assert listing.collect() == [
            {"FILE_PATH": f"{images}/{name}"}
            for name in ("a.png", "b.jpg", "cats/odd name [1]%.jpg", "cats/tom.jpg", "notes.txt")
        ]
        assert len(listing) == 5


def test_a_stage_gives_stage_paths_that_rows_may_use(settings: Settings, images: Path) -> None:
    storage = Storage(settings.model_copy(update={"stages": {"DB.PUBLIC.IMAGES": str(images)}}))
    listing = list_files(storage, "@DB.Public.Images/cats/", pattern=r".*\.jpg", column_name="image")
    assert list(listing) == ["@DB.Public.Images/cats/odd name [1]%.jpg", "@DB.Public.Images/cats/tom.jpg"]
    policy = AccessPolicy(storage)
    assert [policy.locate(path) for path in listing] == [f"{images}/cats/odd name [1]%.jpg", f"{images}/cats/tom.jpg"]


def test_a_bucket_gives_urls(s3) -> None:
    storage = Storage(s3.settings)
    for name in ("x/a b.png", "x/ü.png", "xy.png"):
        storage.write_bytes(f"{s3.root}/{name}", b"")
    assert list(list_files(storage, f"{s3.root}/x")) == [f"{s3.root}/x/a b.png", f"{s3.root}/x/ü.png"]
    assert list(list_files(storage, "@db.public.bucket/x")) == [
        "@db.public.bucket/x/a b.png",
        "@db.public.bucket/x/ü.png",
    ]
    assert list(list_files(storage, f"{s3.root}/xy.png")) == [f"{s3.root}/xy.png"]


def test_the_pattern_matches_all_of_the_path_or_of_what_is_below_the_location(storage: Storage, images: Path) -> None:
    names = [path.removeprefix(f"{images}/") for path in list_files(storage, str(images), pattern=r"cats/.*")]
    assert names == ["cats/odd name [1]%.jpg", "cats/tom.jpg"]
    assert len(list_files(storage, str(images), pattern=r"[a-b]\..*")) == 2
    assert len(list_files(storage, str(images), pattern=r"/.*/images/.*\.txt")) == 1
    assert len(list_files(storage, f"{images}/b.jpg", pattern=r"b\.jpg")) == 1
    with pytest.raises(EmptyInputError, match=r"'.*images' holds no files that match 'tom'"):
        list_files(storage, str(images), pattern="tom")


def test_nothing_found_is_told_with_location_and_pattern(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(EmptyInputError, match=r"nowhere' holds no files$"):
        list_files(storage, f"{tmp_path}/nowhere")


def test_wrong_arguments_are_named(storage: Storage, images: Path) -> None:
    with pytest.raises(SpecError, match=r"pattern: '\[' is not a regular expression"):
        list_files(storage, str(images), pattern="[")
    with pytest.raises(SpecError, match="column_name"):
        list_files(storage, str(images), column_name=" ")


def test_a_name_that_is_no_text_is_told(storage: Storage, images: Path) -> None:
    Path(os.fsdecode(os.fsencode(images) + b"/\xff.jpg")).touch()
    with pytest.raises(LocationError, match="not UTF-8"):
        list_files(storage, str(images))
    assert len(list_files(storage, str(images), pattern=r"\w+\.txt")) == 1


def test_a_listing_is_a_frame_everywhere(storage: Storage, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listing = list_files(storage, str(images), column_name="f[red]")
    table = pa.table({"f[red]": list(listing)})
    assert listing.to_arrow().equals(table)
    assert pa.table(listing).equals(table)
    assert pl.DataFrame(listing).equals(pl.from_arrow(table))
    assert listing.to_polars().equals(pl.from_arrow(table))
    assert listing.to_pandas().to_dict("records") == listing.collect()
    listing.show(limit=3)
    printed = capsys.readouterr().out
    assert "f[red]" in printed
    assert "3 of 5 files" in printed
    assert "tom.jpg" not in printed
