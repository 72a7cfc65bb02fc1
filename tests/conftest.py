"""Fixtures shared by all tests: settings with a home of their own, and a real server that speaks the S3 protocol."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

from gristmill.settings import Settings
from gristmill.storage.storage import Storage
from tests.answering import until_it_answers
from tests.chat_service import chat_service as chat_service
from tests.cluster import cluster as cluster
from tests.cluster import free_ports
from tests.mlflow_server import mlflow_server as mlflow_server
from tests.model_registry import model_registry as model_registry
from tests.model_registry import registry_template as registry_template
from tests.vllm_process import vllm_process as vllm_process

_KEYS = {
    "AWS_ACCESS_KEY_ID": "test-key-id",
    "AWS_SECRET_ACCESS_KEY": "test-secret-key",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}

hypothesis.settings.register_profile("tests", deadline=None)  # time is not asserted: the machine may be busy
hypothesis.settings.load_profile("tests")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background, and processes would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)

# From the start and for good: a fork server keeps the environment of its first use.
for _name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION"):
    os.environ.pop(_name, None)
os.environ.update(_KEYS)

# Serves until it is killed, or until the pipe to the tests breaks, however they end.
_SERVE = """
import os, sys, threading
def leave():
    sys.stdin.buffer.read()
    os._exit(0)
threading.Thread(target=leave, daemon=True).start()
from moto.server import main
main(["-H", "127.0.0.1", "-p", sys.argv[1]])
"""


@dataclass(frozen=True)
class S3Server:
    """One bucket of its own on a running server."""

    endpoint_url: str
    bucket: str
    settings: Settings

    @property
    def root(self) -> str:
        """The bucket as a location."""
        return f"s3://{self.bucket}"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose home is the test's own; none are taken from the machine."""
    for name in [name for name in os.environ if name.startswith("GRISTMILL_")]:
        monkeypatch.delenv(name)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("GRISTMILL_HOME", str(tmp_path / "home"))
    return Settings.load()


@pytest.fixture
def storage(settings: Settings) -> Storage:
    """Storage with those settings."""
    return Storage(settings)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of an S3 server, started for these tests and gone with them."""
    python = Path(sys.prefix) / "s3-server" / "bin" / "python"
    if not python.with_name("moto_server").exists():
        pytest.fail(f"there is no S3 server at {python.parent}; `make test` sets it up", pytrace=False)
    (port,) = free_ports(1)
    server = subprocess.Popen(
        [python, "-c", _SERVE, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ),
    )
    try:
        endpoint = f"http://127.0.0.1:{port}"
        until_it_answers(f"{endpoint}/moto-api/", server, what="the S3 server")
        yield endpoint
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def s3(s3_endpoint: str, settings: Settings) -> S3Server:
    """A fresh bucket, with settings that reach it and a stage `@bucket`."""
    bucket = f"test-{uuid.uuid4().hex[:20]}"
    mine = settings.model_copy(
        update={
            "storage_options": {"s3": {"endpoint_url": s3_endpoint}},
            "stages": {"db.public.bucket": f"s3://{bucket}"},
        }
    )
    Storage(mine).filesystem("s3://x").mkdir(bucket)
    return S3Server(s3_endpoint, bucket, mine)
