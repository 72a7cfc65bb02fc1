from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.errors import LocationError
from gristmill.storage.location import file_url_path, is_local, is_under, join, normalize, scheme_of

STAGES = {"DB.PUBLIC.IMAGES": "s3://bucket/images", "@scores": "/mnt/scores/"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@db.public.images", "s3://bucket/images"),
        ("@DB.Public.Images/cats/", "s3://bucket/images/cats"),
        ("@scores/a b.png", "/mnt/scores/a b.png"),
        ("/a//b/./c/", "/a/b/c"),
        ("//a", "/a"),
        ("/a/../b", "/b"),
        ("/", "/"),
        ("file:///a/b%20c", "/a/b c"),
        ("file:/a", "/a"),
        ("FILE://localhost/a", "/a"),
        ("/odd name ", "/odd name "),
        ("/a%20b", "/a%20b"),
        ("S3://Bucket/Key/", "s3://Bucket/Key"),
        ("s3a://bucket/key", "s3://bucket/key"),
        ("gcs://bucket/key", "gs://bucket/key"),
        ("s3://bucket/a//b/./c", "s3://bucket/a/b/c"),
        ("memory://a/b", "memory:///a/b"),
        ("memory:///a/b", "memory:///a/b"),
        ("https://host/a//b?c=d", "https://host/a//b?c=d"),
    ],
)
def test_stages_paths_and_urls_have_one_normal_form(text: str, expected: str) -> None:
    assert normalize(text, STAGES) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("@nothere/x", "they have: @db.public.images, @scores"),
        ("@scores/../x", r"climbs out of its stage"),
        ("s3://bucket/../x", r"holds '\.\.'"),
        ("s3://", "names no bucket"),
        ("/a\0b", "NUL"),
        ("file:///a%00b", "NUL"),
        ("file://elsewhere/a", "names the host 'elsewhere'"),
        ("file:a", "no absolute path"),
    ],
)
def test_what_cannot_be_a_location_is_refused(text: str, message: str) -> None:
    with pytest.raises(LocationError, match=message):
        normalize(text, STAGES)


def test_relative_paths_and_home_are_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ada")
    assert normalize("a/b", {}) == f"{tmp_path}/a/b"
    assert normalize(Path("a"), {}) == f"{tmp_path}/a"
    assert normalize("~/x", {}) == "/home/ada/x"


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_the_normal_form_is_its_own_normal_form(text: str) -> None:
    for start in ("/", "s3://bucket/", "memory://"):
        try:
            normal = normalize(start + text, {})
        except LocationError:
            continue
        assert normalize(normal, {}) == normal


def test_prefixes_end_at_path_boundaries() -> None:
    assert is_under("/a/b", "/a")
    assert is_under("/a", "/a/")
    assert is_under("/a", "/")
    assert not is_under("/ab", "/a")
    assert not is_under("s3://bucket2/x", "s3://bucket")


def test_parts_of_locations() -> None:
    assert join("s3://b/", "/a/", "c") == "s3://b/a/c"
    assert scheme_of("S3A://b") == "s3"
    assert scheme_of("/a://b") == "file"
    assert is_local("/a")
    assert not is_local("s3://a")
    assert file_url_path("/a") is None
