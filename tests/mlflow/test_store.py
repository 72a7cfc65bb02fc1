import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.model_registry import ModelRegistry

from gristmill.errors import ModelError, RegistryError, SpecError
from gristmill.mlflow.store import calling, client_of

_OPEN = """
import os, sys
from gristmill.mlflow.store import client_of
print(len(client_of(sys.argv[1]).search_registered_models()), sorted(os.listdir(".")))
"""


def test_two_processes_create_a_store_at_once_in_silence(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    uri = f"sqlite:///{tmp_path}/größe 1/deep/mlflow.db"
    started = [
        subprocess.Popen(
            [sys.executable, "-P", "-c", _OPEN, uri],
            cwd=work,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ.copy(),
        )
        for _ in range(2)
    ]
    ends = [process.communicate(timeout=200) for process in started]
    assert ends == [("0 []\n", "")] * 2


def test_the_process_goes_on_with_its_own_tracking_address_and_loggers(model_registry: ModelRegistry) -> None:
    import mlflow

    def state() -> tuple[object, ...]:
        loggers = [logging.getLogger(name) for name in ("", "mlflow", "alembic")]
        return mlflow.get_tracking_uri(), [(one.level, list(one.handlers), list(one.filters)) for one in loggers]

    before = state()
    client_of(model_registry.address).create_registered_model("m")
    assert state() == before


def test_a_server_that_is_not_there_is_told_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        uri = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(RegistryError, match=f"{uri} does not answer: Connection refused"):
            client_of(uri)


def test_a_place_where_no_store_can_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RegistryError, match="registry sqlite:.*file/mlflow.db: .*File exists"):
        client_of(f"sqlite:///{tmp_path}/file/mlflow.db")


def test_a_file_that_is_no_store_is_told(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("this is no database" * 100)
    with pytest.raises(RegistryError, match=r"mlflow\.db failed"):
        client_of(f"sqlite:///{tmp_path}/mlflow.db")


def test_errors_of_mlflow_are_ours(model_registry: ModelRegistry) -> None:
    client = client_of(model_registry.address)
    with (
        pytest.raises(ModelError, match="model 'm': the registry sqlite.* does not have it"),
        calling(model_registry.address, "model 'm'"),
    ):
        client.get_registered_model("m")
    client.create_registered_model("m")
    with pytest.raises(ModelError, match="has it already"), calling(model_registry.address):
        client.create_registered_model("m")
    with pytest.raises(SpecError, match="does not take it"), calling(model_registry.address):
        client.create_registered_model("a/b")
