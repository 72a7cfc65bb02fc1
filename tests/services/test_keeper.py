"""The keeper of a server, in a process of its own as always, with servers that misbehave."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.processes import lives

from gristmill.services.record import ServiceRecord, StartClaim, StartRecord
from gristmill.services.request import ServiceRequest
from gristmill.services.status import ServiceStatus
from gristmill.settings import Settings
from gristmill.storage.storage import Storage

KEY = "key-of-this-service-alone"

_KEEPER = f"""
import json, sys
from pathlib import Path
from gristmill.services import keeper
from gristmill.services.record import ServiceRecord
from gristmill.services.server import ServerCommand
from gristmill.settings import Settings
from gristmill.storage.storage import Storage

home, log, script = sys.argv[1:]
start = ServiceRecord(Storage(Settings(home=home)), home, "chat").start(1)
command = ServerCommand((sys.executable, "-c", script), {{"KEY": {KEY!r}}})
keeper.prepare()
keeper.Keeper(start, start.claim(), command, key={KEY!r}, log=Path(log)).run()
"""

_CHILD = """
import os, signal, subprocess, sys, time
child = subprocess.Popen(
    [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"],
    start_new_session=True,
)
open("child", "w").write(str(child.pid))
"""


@pytest.fixture
def start(settings: Settings) -> StartRecord:
    """A start that was claimed, of a server that nobody has started."""
    record = ServiceRecord(Storage(settings), settings.home, "chat")
    request = ServiceRequest(
        model="echo:chat", served_model="echo", engine="echo", pool="local", kind="local", timeout=60
    )
    claim = StartClaim(request, "me", "here", time.time(), port=9, base_url="http://127.0.0.1:9/v1", key="none")
    start = record.claim(claim, after=0)
    assert start is not None
    return start


def _keep(start: StartRecord, tmp_path: Path, script: str) -> "subprocess.Popen[bytes]":
    home = start.storage.settings.home
    return subprocess.Popen([sys.executable, "-c", _KEEPER, home, str(tmp_path / "log"), script])


def _log(tmp_path: Path) -> str:
    return (tmp_path / "log" / "server.log").read_text()


def _until(file: Path) -> str:
    while not file.exists() or not file.read_text():
        time.sleep(0.02)
    return file.read_text()


def test_a_server_that_dies_is_told_with_what_it_said_of_an_error(start: StartRecord, tmp_path: Path) -> None:
    script = "import os, sys; print('starting with', os.environ['KEY']); print('Error: no such flag'); sys.exit(3)"
    assert _keep(start, tmp_path, script).wait(60) == 0
    state = start.state()
    assert (state.status, state.message) == (
        ServiceStatus.FAILED,
        "its server ended with exit code 3: Error: no such flag",
    )
    assert state.ended is not None
    assert KEY not in _log(tmp_path)
    assert "starting with ***" in _log(tmp_path)


def test_what_a_dead_server_leaves_behind_is_ended(start: StartRecord, tmp_path: Path) -> None:
    # as vLLM's engine, which outlives its HTTP server; here even in a session of its own
    assert _keep(start, tmp_path, _CHILD + "os.kill(os.getpid(), 9)").wait(60) == 0
    assert start.state().message == "its server ended with signal SIGKILL"
    assert not lives(int(Path("child").read_text()))


def test_a_record_that_is_gone_ends_the_server(start: StartRecord, tmp_path: Path) -> None:
    keeper = _keep(start, tmp_path, _CHILD + "time.sleep(600)")
    child = int(_until(Path("child")))
    while not start.state().server:  # its first sign of life; the next one is two seconds away
        time.sleep(0.01)
    start.storage.delete_tree(start.folder)
    assert keeper.wait(60) == 0
    assert not lives(child)
    assert start.is_dropped()
    assert start.state().time is None  # nothing was written where the record had been
    assert "STOPPED: its record is gone" in _log(tmp_path)


def test_a_record_that_asks_to_stop_ends_the_server(start: StartRecord, tmp_path: Path) -> None:
    keeper = _keep(start, tmp_path, "import time; time.sleep(600)")
    start.ask_to_stop()
    assert keeper.wait(60) == 0
    assert (start.state().status, start.state().message) == (ServiceStatus.STOPPED, "stopped")


def test_a_server_dies_with_its_keeper(start: StartRecord, tmp_path: Path) -> None:
    script = "import os, time; open('server', 'w').write(str(os.getpid())); time.sleep(600)"
    keeper = _keep(start, tmp_path, script)
    server = int(_until(Path("server")))
    keeper.kill()
    keeper.wait()
    while lives(server):
        time.sleep(0.02)
    assert start.verdict().status is ServiceStatus.FAILED
    assert start.verdict().message.startswith("its process is gone")


def test_a_server_gets_none_of_the_settings(start: StartRecord, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("GRISTMILL_STORAGE_OPTIONS", json.dumps({"s3": {"secret": "hush"}}))
    script = "import os; print(sorted(name for name in os.environ if name.startswith('GRISTMILL')))"
    assert _keep(start, tmp_path, script).wait(60) == 0
    assert "['GRISTMILL_CONFIG']" in _log(tmp_path)
    assert os.environ["GRISTMILL_STORAGE_OPTIONS"] not in _log(tmp_path)
