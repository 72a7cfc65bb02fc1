"""The process that holds a service's server: starts it, says how it is, and ends all of it.

A server is more than one process: when vLLM's HTTP server is killed, its engine lives on and keeps the GPU. The keeper
is the parent of whatever its server leaves behind, so that nothing outlives it. It runs as
`python -m gristmill.services.keeper`, reads its order from its standard input, and ends where none comes; on a
cluster, where Ray starts it as a job, its argument is the order.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from gristmill.errors import GristmillError
from gristmill.jobs.process import process_of, this_process
from gristmill.services.descendants import descendants
from gristmill.services.health import problem_of, url_host
from gristmill.services.keys import digest_of, key_of
from gristmill.services.logs import ServerLog, copy_logs
from gristmill.services.record import ServiceRecord, StartClaim, StartRecord, StartState
from gristmill.services.server import ServerCommand, ray_command, server_command
from gristmill.services.status import ServiceStatus
from gristmill.settings import Settings
from gristmill.storage.location import is_local
from gristmill.storage.storage import Storage
from gristmill.wording.text import cut, duration

__all__ = ["GRACE", "Keeper", "prepare"]

GRACE = 20.0
"""Seconds that a server may take to end by itself."""

_LOOK = 0.2
_ASK = 0.5
_BEAT = 2.0
_BEAT_ELSEWHERE = 15.0
"""Seconds between writings of the state: on this machine's disk, and on storage where each costs something."""

_SILENT = 3
"""Beats without an answer from a server that runs, after which the record says so."""

_SET_CHILD_SUBREAPER = 36
_SET_DEATH_SIGNAL = 1


class Keeper:
    """Holds one server from its start to its end.

    Args:
        start: its record.
        claim: what was asked.
        command: how to start the server.
        key: what it asks of its clients; None where it is not known, as on a cluster.
        log: where its output goes.
    """

    def __init__(
        self, start: StartRecord, claim: StartClaim, command: ServerCommand, *, key: str | None, log: Path
    ) -> None:
        self._start = start
        self._claim = claim
        self._command = command
        self._key = key
        self._folder = log
        self._log = ServerLog(log, secret=key, echo=claim.address is not None)
        self._stop = threading.Event()
        self._beat = _BEAT if is_local(start.folder) else _BEAT_ELSEWHERE
        self._state = StartState(ServiceStatus.STARTING, process=this_process())
        host, port = url_host(claim.request.host), claim.port
        self._url = f"http://{host}:{port}{urlsplit(claim.base_url).path}"

    def stop(self) -> None:
        """End it soon; may be called from a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Start the server, and stay until it has ended."""
        began = time.monotonic()
        self._write()
        server = self._spawn()
        pump = threading.Thread(target=self._log.pump, args=(server.stdout,), daemon=True)
        pump.start()
        self._state = replace(self._state, server=process_of(server.pid))
        try:
            status, message = self._watch(server, began)
        finally:
            self._end(server)
        pump.join(timeout=5)
        if status is ServiceStatus.FAILED and (reason := self._log.reason()):
            message = f"{message}: {cut(reason, 300)}"
        self._state = replace(self._state, status=status, message=message, ended=time.time())
        self._note(f"{status.value}: {message}")
        self._write()
        with contextlib.suppress(Exception):  # the record is told; where its home takes no log, that one stays here
            copy_logs(self._start.storage, self._folder, self._start.logs)
        self._log.close()

    def _spawn(self) -> "subprocess.Popen[bytes]":
        settings = {name for name in os.environ if name.startswith("GRISTMILL_")}  # the keeper's, with their secrets
        environment = {name: value for name, value in os.environ.items() if name not in settings}
        return subprocess.Popen(
            self._command.command,
            env={"PYTHONUNBUFFERED": "1", **environment, "GRISTMILL_CONFIG": "", **self._command.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - nothing but this thread runs yet
        )

    def _watch(self, server: "subprocess.Popen[bytes]", began: float) -> tuple[ServiceStatus, str]:
        """Until the server has ended, or should: how that is called, and why."""
        limit = self._claim.request.timeout
        asked = told = 0.0
        problem: str | None = "not asked yet"
        silent = dropped = 0
        while True:
            now = time.monotonic()
            if server.poll() is not None:
                return ServiceStatus.FAILED, f"its server ended with {_ending(server.returncode)}"
            if self._stop.is_set():
                return ServiceStatus.STOPPED, "stopped"
            is_starting = self._state.status is ServiceStatus.STARTING
            if is_starting and now - asked >= _ASK:
                asked, problem = now, self._ask()
                if problem is None:
                    self._state = replace(self._state, status=ServiceStatus.RUNNING, message="", ready=time.time())
                    self._note(f"answers after {duration(now - began)}")
                    told = 0.0
                elif now - began > limit:
                    return ServiceStatus.FAILED, f"did not answer within {limit:g} s ({problem})"
            if now - told >= self._beat:
                told = now
                if not is_starting:
                    silent = 0 if self._ask() is None else silent + 1
                    message = f"has not answered the last {silent} times" if silent >= _SILENT else ""
                    self._state = replace(self._state, message=message)
                self._write()
                wish = self._wish()
                dropped = dropped + 1 if wish == "dropped" else 0
                if wish == "stop" or dropped > 1:
                    return ServiceStatus.STOPPED, "stopped" if wish == "stop" else "its record is gone"
            self._stop.wait(_LOOK)

    def _ask(self) -> str | None:
        return problem_of(self._url, key=self._key, model=self._claim.request.served_model)

    def _wish(self) -> str | None:
        """What the record asks: `stop` it, or nothing; `dropped` when it is gone. Unread for a moment asks nothing."""
        try:
            if self._start.is_dropped():
                return "dropped"
            return "stop" if self._start.stop_is_asked() else None
        except Exception as error:  # noqa: BLE001 - a home that is away for a while is no reason to end
            self._note(f"the record cannot be read: {type(error).__name__}: {error}")
            return None

    def _write(self) -> None:
        self._state = replace(self._state, time=time.time())
        try:
            if not self._start.is_dropped():  # else it would come back as a state without a claim
                self._start.write_state(self._state)
        except Exception as error:  # noqa: BLE001 - as above; the next beat tries again
            self._note(f"the record cannot be written: {type(error).__name__}: {error}")

    def _note(self, text: str) -> None:
        self._log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())} keeper: {text}\n".encode())

    def _end(self, server: "subprocess.Popen[bytes]") -> None:
        """End the server and everything that it has started."""
        if server.poll() is None:
            _signal_group(server.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(GRACE)
        while True:
            _signal_group(server.pid, signal.SIGKILL)
            left = descendants(os.getpid())
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if server.poll() is not None and not left:
                return
            time.sleep(0.05)


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(AttributeError, OSError):  # only Linux has it
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def prepare() -> None:
    """Make this process the parent of whatever its descendants leave behind; it must have no other children."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def _die_with_parent() -> None:
    _prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)


def _keep(order: dict[str, Any]) -> None:
    storage = Storage(Settings.load())
    record = ServiceRecord(storage, order["home"], order["name"])
    start = record.start(order["number"])
    claim = start.claim()
    newest = record.latest()
    if newest is None or newest.number > start.number:  # a cluster may start it long after it was given up
        return
    key = key_of(claim.key)
    if key is None and order["digest"] is None:
        raise GristmillError(f"the key of service {record.name!r} is gone from this machine")
    log = Path(order["log"] or tempfile.mkdtemp(prefix="gristmill-service-"))
    keeper = Keeper(start, claim, _command(storage, record.name, claim, order, key=key), key=key, log=log)

    def stop(_number: int, _frame: FrameType | None) -> None:
        keeper.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    prepare()
    keeper.run()


def _command(
    storage: Storage, name: str, claim: StartClaim, order: dict[str, Any], *, key: str | None
) -> ServerCommand:
    model = order["model"]
    if model is None:  # a cluster has its own copy
        from gristmill.mlflow.resolved import resolved

        model = resolved(claim.request.model, storage, digest=claim.request.digest)
    if claim.request.kind == "ray":
        digest = order["digest"] if key is None else digest_of(key)
        pool = storage.settings.pool(claim.request.pool)
        return ray_command(claim.request, name=name, model=model, port=claim.port, digest=digest, pool=pool)
    assert key is not None
    return server_command(claim.request.model_copy(update={"model": model}), port=claim.port, key=key)


def _main() -> None:
    if len(sys.argv) > 1:
        _keep(json.loads(sys.argv[1]))
        return
    order = sys.stdin.buffer.read()
    if not order:  # its client has thought better of it, or died
        return
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    _keep(json.loads(order))


if __name__ == "__main__":
    _main()
