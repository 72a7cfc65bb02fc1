"""MLflow's tracking server, as a process of its own: started once for all tests that ask for it, and gone with them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.answering import until_it_answers
from tests.cluster import free_ports

# What `mlflow server` starts, in one process: it serves until it is killed, or until the pipe to the tests breaks.
_SERVE = """
import os, sys, threading
def leave():
    sys.stdin.buffer.read()
    os._exit(0)
threading.Thread(target=leave, daemon=True).start()
import uvicorn
uvicorn.run("mlflow.server.fastapi_app:app", host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
"""


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory, registry_template: Path) -> Iterator[str]:
    """The address of a server that keeps its models' files itself."""
    root = tmp_path_factory.mktemp("mlflow-server")
    shutil.copy(registry_template, root / "mlflow.db")
    (port,) = free_ports(1)
    store = f"sqlite:///{root / 'mlflow.db'}"
    env = os.environ | {
        "_MLFLOW_SERVER_FILE_STORE": store,
        "_MLFLOW_SERVER_REGISTRY_STORE": store,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(root / "artifacts"),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with (root / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-P", "-c", _SERVE, str(port)],
            cwd=root,
            env=env,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        until_it_answers(f"{address}/health", server, what=f"the tracking server, which logs to {root / 'log'},")
        yield address
    finally:
        server.kill()
        server.wait()
