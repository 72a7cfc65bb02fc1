"""Connecting to Ray: to the cluster that this runner was submitted to, or to a small one started for it alone."""

import contextlib
import fcntl
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gristmill.errors import PlacementError
from gristmill.settings import PoolSettings

__all__ = ["RaySession"]

_OBJECT_STORE = 80 * 1024**2
"""Bytes of Ray's object store, near the least it takes: rows never travel through it."""

_PREFIX = "gristmill-ray-"


class RaySession:
    """A connection to Ray.

    Open and close it in one thread, and let that thread live as long: the processes of a Ray that is started here are
    tied to it, so that they end with it, however it ends.

    A Ray that this process is connected to already is used, and left alone.

    Attributes:
        dashboard: the address of Ray's dashboard, if it has one.
    """

    def __init__(self, pool: PoolSettings) -> None:
        """Connect.

        Raises:
            PlacementError: Ray does not start, or the cluster does not answer.
        """
        import ray

        self.dashboard: str | None = pool.address
        self._folder: _Folder | None = None
        self._ours = not ray.is_initialized()
        if not self._ours:
            return
        if pool.address is None:
            self._folder = _Folder()
            options = _local_options(pool, self._folder.path)
            where = "start Ray on this machine"
        else:
            # The runner is a job of that cluster, and Ray tells jobs the cluster's inner address.
            options = {**pool.init, "address": os.environ.get("RAY_ADDRESS") or "auto"}
            where = f"reach, from the runner, the cluster of {pool.address!r}"
        try:
            with _quiet():
                context = ray.init(log_to_driver=False, configure_logging=False, **options)
        except Exception as error:
            self.close()
            raise PlacementError(
                f"cannot {where}: ray.init({_text(options)}) says {type(error).__name__}: {error};"
                " see the pool's `address` and `init` in the settings"
            ) from error
        if self.dashboard is None and context.dashboard_url:
            self.dashboard = f"http://{context.dashboard_url}"

    def close(self) -> None:
        """Disconnect, and end what was started here."""
        import ray

        if self._ours:
            ray.shutdown()
            self._ours = False
        if self._folder is not None:
            self._folder.remove()


def _local_options(pool: PoolSettings, folder: str) -> dict[str, Any]:
    """Arguments of `ray.init` for a lean Ray of our own."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not any(name.startswith("RAY_AUTH_") for name in os.environ):
        # Ray would write a token into the home folder for good; this one lives and ends with the process.
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    return {
        "address": "local",  # never one that the environment or a file left in the temporary folder names
        "include_dashboard": False,
        "object_store_memory": _OBJECT_STORE,
        "_temp_dir": folder,
        **({"runtime_env": pool.runtime_env} if pool.runtime_env else {}),
        **pool.init,
    }


def _text(options: dict[str, Any]) -> str:
    """Arguments for a message; not the runtime environment, which may hold secrets."""
    return ", ".join(f"{name}={value!r}" for name, value in options.items() if name != "runtime_env")


class _Folder:
    """A folder for Ray's sockets and logs, locked while its owner lives; those of dead owners are removed."""

    def __init__(self) -> None:
        # sockets' paths have at most 107 bytes, and Ray needs 70 of them
        root = Path(tempfile.gettempdir() if len(tempfile.gettempdir()) <= 10 else "/tmp")  # noqa: S108
        for left in root.glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):
                held = self._lock(left / "lock", os.O_RDWR)
                shutil.rmtree(left, ignore_errors=True)
                os.close(held)
        self.path = tempfile.mkdtemp(prefix=_PREFIX, dir=root)
        self._held = self._lock(Path(self.path) / "lock", os.O_RDWR | os.O_CREAT)

    @staticmethod
    def _lock(path: Path, flags: int) -> int:
        """A descriptor that holds the lock.

        Raises:
            OSError: another process holds it, or there is none.
        """
        descriptor = os.open(path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._held)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Ray warns of what is meant here: it is started from a thread, and guarded by a token."""
    logger = logging.getLogger("ray")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
