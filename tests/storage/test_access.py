import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.errors import AccessError, LocationError
from gristmill.settings import Settings
from gristmill.storage.access import AccessPolicy
from gristmill.storage.location import is_under
from gristmill.storage.storage import Storage


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An allowed folder, beside one that is not."""
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "one.png").write_bytes(b"1")
    (folder / "sub" / "two.png").write_bytes(b"2")
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "secret").write_bytes(b"!")
    return folder


@pytest.fixture
def policy(data: Path, settings: Settings) -> AccessPolicy:
    """A policy with stages, settings prefixes and job prefixes."""
    mine = settings.model_copy(
        update={
            "stages": {
                "DB.PUBLIC.IMAGES": "s3://bucket/images",
                "local": str(data),
                "web": "https://cdn.example.com/a",
            },
            "allowed": ("memory://shared",),
        }
    )
    return AccessPolicy(Storage(mine), ("s3://lake/raw/", "http://10.0.0.7:8080/x", "http://plain.example.com"))


def test_allowed_references_become_normal_locations(policy: AccessPolicy, data: Path) -> None:
    for _ in range(2):  # the second time from the cache
        for reference, expected in {
            "@db.public.images/a b.png": "s3://bucket/images/a b.png",
            "@Db.Public.IMAGES/x/a%20b?.png": "s3://bucket/images/x/a%20b?.png",
            "@local/one.png": f"{data}/one.png",
            "@local//sub/./two.png": f"{data}/sub/two.png",
            f"{data}/one.png": f"{data}/one.png",
            f"{data}/a::b.png": f"{data}/a::b.png",
            f"file://{data}/sub/two%2Epng": f"{data}/sub/two.png",
            f"{data}/sub/..two": f"{data}/sub/..two",
            "S3://lake/raw/x": "s3://lake/raw/x",
            "s3a://lake/raw/x//y": "s3://lake/raw/x//y",
            "memory://shared/x": "memory:///shared/x",
            "memory:///shared/x": "memory:///shared/x",
            "@web/b.png?size=3": "https://cdn.example.com/a/b.png?size=3",
            "HTTPS://CDN.example.com:443/a/b.png#top": "https://cdn.example.com/a/b.png",
            "http://10.0.0.7:8080/x/y": "http://10.0.0.7:8080/x/y",
        }.items():
            assert policy.locate(reference) == expected


@pytest.mark.parametrize(
    "reference",
    [
        "/etc/passwd",
        "{data}-base/x",
        "{data}/../private/secret",
        "{data}/sub/../one.png",
        "{data}/sub/..",
        "@local/../private/secret",
        "@local/sub/../../private/secret",
        "@db.public.images/../x",
        "file:///etc/passwd",
        "file:/etc/passwd",
        "FILE:///etc/passwd",
        "file://{data}/%2e%2e/private/secret",
        "local:///etc/passwd",
        "s3://lake/rawer/x",
        "s3://lake/raw/../x",
        "s3://lake/raw/..",
        "s3://lake/x",
        "s3://other/raw/x",
        "S3A://other/x",
        "memory://other/x",
        "https://cdn.example.com/b",
        "https://cdn.example.com/ab",
        "https://cdn.example.com/a/../b",
        "https://cdn.example.com/a/%2e%2e/b",
        "https://cdn.example.com/a/%2E./b",
        "https://cdn.example.com/a/%252e%252e/b",
        "https://cdn.example.com/a/..%2fb",
        "https://cdn.example.com/a/%5c..%5cb",
        "http://cdn.example.com/a/b",
        "https://cdn.example.com.evil.org/a/b",
        "https://cdn.example.com:444/a/b",
        "http://10.0.0.7/x/y",
        "http://169.254.169.254/latest/meta-data",
        "ftp://host/x",
        "github://org:repo@main/x",
        "zip://x::{data}/one.zip",
        "simplecache::s3://lake/raw/x",
        "s3://lake/raw/x::file:///etc/passwd",
    ],
)
def test_everything_else_is_refused(policy: AccessPolicy, data: Path, reference: str) -> None:
    text = reference.replace("{data}", str(data))
    policy.locate(f"{data}/one.png")
    policy.locate(f"{data}/sub/two.png")
    policy.locate("s3://lake/raw/x")
    with pytest.raises((AccessError, LocationError)) as caught:
        policy.locate(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("", "is empty"),
        ("one.png", "no stage path, absolute path or URL"),
        ("sub/one.png", "no stage path, absolute path or URL"),
        ("~/one.png", "no stage path, absolute path or URL"),
        ("@nothere/x", "they have: @db.public.images, @local, @web"),
        ("{data}/", "names no file"),
        ("{data}/a\0b", "NUL"),
        ("file://{data}/a%00b", "NUL"),
        ("file://host{data}/a", "names the host 'host'"),
        ("s3://lake/raw/", "names no file"),
        ("https://user:pw@cdn.example.com/a/b", "without user"),
        ("https://cdn.example.com\\@evil.org/a/b", "backslashes"),
        ("https://cdn.example.com/a/b c", "blanks"),
        ("https:///a/b", "plain host"),
        ("https://cdn.example.com:x/a/b", "not a URL"),
    ],
)
def test_what_names_no_file_is_told_so(policy: AccessPolicy, data: Path, reference: str, message: str) -> None:
    with pytest.raises((AccessError, LocationError), match=message):
        policy.locate(reference.replace("{data}", str(data)))


def test_a_refusal_tells_the_way_out(policy: AccessPolicy) -> None:
    with pytest.raises(AccessError, match=r"stage.*`allowed`.*InputSpec\.allowed_locations"):
        policy.locate("/etc/passwd")


def test_folder_links_that_lead_out_are_refused_and_others_are_resolved(policy: AccessPolicy, data: Path) -> None:
    (data / "out").symlink_to(data.parent / "private")
    (data / "in").symlink_to(data / "sub")
    with pytest.raises(AccessError, match="leads by a link to"):
        policy.locate(f"{data}/out/secret")
    with pytest.raises(AccessError, match="leads by a link to"):
        policy.locate("@local/out/secret")
    assert policy.locate(f"{data}/in/two.png") == f"{data}/sub/two.png"


def test_a_link_is_followed_only_within_the_allowed_locations(policy: AccessPolicy, data: Path) -> None:
    (data / "leaf").symlink_to(data.parent / "private" / "secret")
    (data / "fine").symlink_to(data / "sub" / "two.png")
    assert policy.follow(f"{data}/fine") == f"{data}/sub/two.png"
    with pytest.raises(AccessError, match="is a link to"):
        policy.follow(policy.locate(f"{data}/leaf"))


def test_an_allowed_prefix_may_itself_be_a_link_or_a_file(tmp_path: Path, data: Path, storage: Storage) -> None:
    (tmp_path / "alias").symlink_to(data)
    policy = AccessPolicy(storage, (f"{tmp_path}/alias", f"{tmp_path}/private/secret"))
    assert policy.locate(f"{tmp_path}/alias/one.png") == f"{data}/one.png"
    assert policy.locate(f"{data}/one.png") == f"{data}/one.png"
    assert policy.locate(f"{tmp_path}/private/secret") == f"{tmp_path}/private/secret"
    with pytest.raises(AccessError):
        policy.locate(f"{tmp_path}/private/other")


def test_private_addresses_need_a_prefix_that_names_them(policy: AccessPolicy) -> None:
    assert policy.allows_private("10.0.0.7", 8080)
    assert not policy.allows_private("10.0.0.7", 80)
    assert not policy.allows_private("plain.example.com", 80)
    assert not policy.allows_private("cdn.example.com", 443)


def test_a_policy_that_allows_nothing_allows_nothing(storage: Storage, data: Path) -> None:
    with pytest.raises(AccessError):
        AccessPolicy(storage).locate(f"{data}/one.png")


def test_a_policy_survives_pickling_and_shows_no_settings(policy: AccessPolicy, data: Path) -> None:
    policy.locate(f"{data}/one.png")
    again = pickle.loads(pickle.dumps(policy))
    assert again.locate(f"{data}/one.png") == f"{data}/one.png"
    with pytest.raises(AccessError):
        again.locate("/etc/passwd")
    assert "storage" not in repr(policy)


def test_a_cache_of_many_folders_stays_bounded(policy: AccessPolicy, data: Path) -> None:
    for number in range(10_050):
        assert policy.locate(f"s3://lake/raw/{number}/x") == f"s3://lake/raw/{number}/x"
    assert len(policy._folders) <= 10_000


_SEGMENTS = st.lists(
    st.sampled_from(["..", ".", "", "a", "b c", "%2e%2e", "%2f", "..%2f", "@", "::", "\\", "~", "?x", "#"]), min_size=1
)


@given(
    st.sampled_from(
        ["/data/ok/", "s3://b/ok/", "file:///data/ok/", "@st/", "https://h.example.com/ok/", "memory://ok/"]
    ),
    _SEGMENTS,
)
def test_no_spelling_leaves_the_prefixes(start: str, segments: list[str]) -> None:
    settings = Settings.load(stages={"st": "/data/ok"})
    policy = AccessPolicy(Storage(settings), ("/data/ok", "s3://b/ok", "https://h.example.com/ok", "memory://ok"))
    try:
        location = policy.locate(start + "/".join(segments))
    except (AccessError, LocationError):
        return
    allowed = ("/data/ok", "s3://b/ok", "https://h.example.com/ok", "memory:///ok")
    assert any(is_under(location, prefix) for prefix in allowed)
    assert ".." not in location.split("?")[0].split("/")
