"""The places that every output test runs at: a local folder, memory, and a bucket."""

import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from gristmill.storage.storage import Storage
from tests.conftest import S3Server


@dataclass(frozen=True)
class Somewhere:
    """Storage, and an output location on it that holds nothing yet."""

    storage: Storage
    location: str


@pytest.fixture(params=["local", "memory", "s3"])
def place(request: pytest.FixtureRequest, storage: Storage, tmp_path: Path) -> Somewhere:
    if request.param == "local":
        return Somewhere(storage, str(tmp_path / "out"))
    if request.param == "memory":
        return Somewhere(storage, f"memory:///{uuid.uuid4().hex}/out")
    server: S3Server = request.getfixturevalue("s3")
    return Somewhere(Storage(server.settings), f"{server.root}/out")
