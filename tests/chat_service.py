"""A service of a tiny chat model on a real vLLM server, started once for all tests that ask for it."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

import gristmill
from gristmill.settings import Settings
from tests.tiny.models import model_folder

__all__ = ["ChatService", "chat_service"]

# Keys stand beside no home; those of tests stand in a folder of their own, which processes that they start share.
_STATE = tempfile.mkdtemp(prefix="gristmill-state-")
os.environ["XDG_STATE_HOME"] = _STATE
atexit.register(shutil.rmtree, _STATE, ignore_errors=True)

_SERVER = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_LOGGING_LEVEL": "WARNING",
}


@dataclass(frozen=True)
class ChatService:
    """A running service named `chat`, of the model `tiny`.

    Attributes:
        service: its handle.
        settings: those with its home.
    """

    service: gristmill.Service
    settings: Settings


@pytest.fixture(scope="session")
def chat_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatService]:
    """Ready after about a minute, and gone with the last test."""
    settings = Settings(home=str(tmp_path_factory.mktemp("chat-service")))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _SERVER.items():
            patch.setenv(name, value)
        service = gristmill.create_service(
            "chat",
            model_folder("llama"),
            pool="local",
            served_model_name="tiny",
            engine_args_override=["--dtype=float32", "--enforce-eager"],
            timeout=500,
            settings=settings,
        )
    try:
        yield ChatService(service, settings)
    finally:
        gristmill.drop_service("chat", missing_ok=True, settings=settings)
