"""Starting a service on this machine: a keeper that waits, the claim, then its order."""

import contextlib
import errno
import json
import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from gristmill.errors import ConflictError, SpecError
from gristmill.jobs.cluster import cluster_at
from gristmill.services.keys import digest_of, key_of
from gristmill.services.logs import LOG
from gristmill.services.record import StartClaim
from gristmill.settings import Settings
from gristmill.storage.storage import Storage
from gristmill.submission.warm import settings_variables

__all__ = ["KeeperProcess", "check_port", "free_port", "submit_keeper"]

_left: list["subprocess.Popen[bytes]"] = []
"""Keepers that are on their own; those that have ended are collected when the next one is started."""


class KeeperProcess:
    """A keeper's process that has no order yet, in a session of its own; without one it ends, as when its client dies.

    Args:
        settings: those that it gets, by its environment.
        log: the folder for what it prints.
    """

    def __init__(self, settings: Settings, log: Path) -> None:
        log.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            **settings_variables(settings, secrets=True),
            "GRISTMILL_CONFIG": "",  # the variables above are all of the settings
            "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path if not path.endswith(".zip")),
        }
        with (log / LOG).open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gristmill.services.keeper"],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        _left[:] = [process for process in _left if process.poll() is None]
        _left.append(self._process)
        self._log = log

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def keep(self, *, home: str, name: str, number: int, model: str | None) -> None:
        """Give it its order; from now on it is on its own.

        Args:
            home: where the service's record lives.
            name: of the service.
            number: of the start that was claimed for it.
            model: as it is on this machine: `hf:<folder or name>` or `echo:chat`.
        """
        order = {"home": home, "name": name, "number": number, "model": model, "digest": None, "log": str(self._log)}
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has died; the record will show it
            self._process.stdin.write(json.dumps(order).encode())
            self._process.stdin.close()


def submit_keeper(storage: Storage, claim: StartClaim, *, home: str, name: str, number: int) -> None:
    """Have a cluster start the keeper, as a job of its Jobs API; of the key it gets the digest alone.

    Raises:
        PlacementError, AccessError, SpecError: the cluster does not answer, wants a token, or refuses it.
    """
    settings = storage.settings
    key = key_of(claim.key)
    assert claim.address is not None
    assert claim.submission_id is not None
    assert key is not None
    order = {"home": home, "name": name, "number": number, "model": None, "digest": digest_of(key), "log": None}
    pool = settings.pool(claim.request.pool)
    given = pool.runtime_env.get("env_vars", {})
    cluster_at(settings, claim.address).submit(
        shlex.join(["python", "-m", "gristmill.services.keeper", json.dumps(order)]),
        submission_id=claim.submission_id,
        runtime_env={**pool.runtime_env, "env_vars": {**settings_variables(settings, secrets=False), **given}},
        metadata={"gristmill_service": name},
    )


def free_port(host: str) -> int:
    """A port that nothing listens at now.

    Raises:
        SpecError: this machine does not have such an address.

    Example:
        >>> free_port("127.0.0.1") > 0
        True
    """
    return _bound(host, 0)


def check_port(host: str, port: int) -> None:
    """Refuse a port that something listens at.

    Raises:
        ConflictError: something does.
        SpecError: this machine does not have such an address.
    """
    try:
        _bound(host, port)
    except PermissionError as error:
        raise SpecError(f"port: {port} may not be listened at by this user; give one from 1024 on") from error
    except OSError as error:
        raise ConflictError(
            f"port: something listens at {port} of {host} already ({error.strerror}); give another, or none for any "
            "that is free"
        ) from error


def _bound(host: str, port: int) -> int:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        with socket.socket(found[0][0], socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(found[0][4])
            return int(probe.getsockname()[1])
    except OSError as error:
        if port and not isinstance(error, socket.gaierror) and error.errno != errno.EADDRNOTAVAIL:
            raise
        raise SpecError(f"host: this machine has no address {host!r} to listen at ({error})") from error
