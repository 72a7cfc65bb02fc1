import pytest

from gristmill.storage.failure import FileTooLargeError
from gristmill.storage.s3_objects import S3Objects
from gristmill.storage.storage import Storage


def read(options: dict, location: str, *, max_bytes: int = 10**6) -> bytes | None:
    """The object's content; None where s3fs has to read it."""
    objects = S3Objects(options, timeout=5.0, max_bytes=max_bytes)
    found = objects.store(location)
    return None if found is None else bytes(objects.read(*found, admit=lambda size: None))


@pytest.fixture
def location(s3) -> str:
    """An object."""
    Storage(s3.settings).write_bytes(f"{s3.root}/dir/a b%20.txt", b"content")
    return f"{s3.root}/dir/a b%20.txt"


def test_options_of_s3fs_are_understood(s3, location: str) -> None:
    endpoint = s3.endpoint_url
    for options in (
        {"endpoint_url": endpoint},
        {"client_kwargs": {"endpoint_url": endpoint, "region_name": "eu-west-1", "verify": False}},
        {"endpoint_url": endpoint, "key": "a", "secret": "b", "token": "c", "anon": False},
        {"endpoint_url": endpoint, "client_kwargs": {"aws_access_key_id": "a", "aws_secret_access_key": "b"}},
        {"endpoint_url": endpoint, "config_kwargs": {"s3": {"addressing_style": "path"}, "read_timeout": 3}},
        {"endpoint_url": endpoint, "use_listings_cache": False, "default_block_size": 5, "version_aware": False},
    ):
        assert read(options, location) == b"content", options


def test_the_environment_is_understood(s3, location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.endpoint_url)
    assert read({}, location) == b"content"


def test_what_obstore_cannot_be_told_is_left_to_s3fs(s3, location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = s3.endpoint_url
    assert read({"endpoint_url": endpoint, "session": object()}, location) is None
    assert read({"endpoint_url": endpoint, "version_aware": True}, location) is None
    assert read({"endpoint_url": endpoint, "config_kwargs": {"proxies": {"http": "http://x"}}}, location) is None
    for key in ("a//b", "a/./b", "folder/"):
        assert read({"endpoint_url": endpoint}, f"{s3.root}/{key}") is None
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert read({}, location) is None


def test_failures_have_their_kinds_and_no_secrets(s3, location: str) -> None:
    options = {"endpoint_url": s3.endpoint_url, "key": "KEYID", "secret": "HUSH", "token": "HUSH-TOKEN"}
    with pytest.raises(FileNotFoundError) as missing:
        read(options, location + "x")
    with pytest.raises(FileNotFoundError) as nowhere:
        read(options, "s3://no-such-bucket-here/x")
    with pytest.raises(FileTooLargeError) as large:
        read(options, location, max_bytes=6)
    for caught in (missing, nowhere, large):
        assert "HUSH" not in repr(caught.value)
        assert "KEYID" not in repr(caught.value)
    assert read(options, location, max_bytes=7) == b"content"


def test_missing_credentials_are_told(s3, location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Storage(s3.settings).filesystem(location).chmod(location, "public-read")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    assert read({"endpoint_url": s3.endpoint_url, "anon": True}, location) == b"content"
    with pytest.raises(PermissionError, match="no AWS credentials"):
        read({"endpoint_url": s3.endpoint_url}, location)
