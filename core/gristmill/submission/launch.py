"""Starting a run: claim it, then start its runner where the pool says."""

import getpass
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from gristmill.jobs.record import Claim, JobRecord, RunRecord
from gristmill.runner.execute import execute
from gristmill.settings import PoolSettings, Settings
from gristmill.spec.enums import JobStatus
from gristmill.spec.request import RunRequest
from gristmill.storage.location import is_local
from gristmill.storage.storage import Storage

__all__ = ["launch", "user"]


def user() -> str:
    """Who submits."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def launch(storage: Storage, record: JobRecord, how: RunRequest, *, after: int) -> RunRecord | None:
    """Begin the next run of a job and start its runner.

    The claim is written first: of several clients one starts the runner, and one that dies in between leaves a claim
    that goes stale, not a second runner.

    Args:
        storage: with the settings that the runner gets too.
        record: the job.
        how: pool and job spec.
        after: the newest run there is; 0 for none.

    Returns:
        The run, or None when another client began it.
    """
    pool = storage.settings.pool(how.pool)
    address = pool.address if pool.kind == "ray" else None
    submission_id = None if address is None else f"{record.id}-{after + 1}"
    claim = Claim(how, user(), socket.gethostname(), time.time(), address, submission_id)
    run = record.claim(claim, after=after)
    if run is None:
        return None
    if pool.kind == "inline":
        threading.Thread(target=execute, args=(storage, record, run), name=f"run-{record.id}", daemon=True).start()
    elif address is not None and submission_id is not None:
        _submit(storage.settings, pool, address, submission_id, record, run)
    else:
        _detach(storage.settings, record, run)
    return run


def _command(record: JobRecord, run: RunRecord) -> list[str]:
    return ["-m", "gristmill.runner", record.home, record.id, str(run.generation)]


def _detach(settings: Settings, record: JobRecord, run: RunRecord) -> None:
    """A runner in a session of its own: neither the client's end nor its Ctrl-C reaches it, and it holds none of its files."""
    environment = {**os.environ, **_settings_variables(settings, secrets=True), "PYTHONPATH": _search_path()}
    environment.pop("GRISTMILL_CONFIG", None)
    log: Path | None = None
    if is_local(run.logs):
        log = Path(run.logs) / "runner.log"
        log.parent.mkdir(parents=True, exist_ok=True)
    with Path(os.devnull if log is None else log).open("ab") as output:
        subprocess.Popen(
            [sys.executable, *_command(record, run)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            close_fds=True,
        )


def _submit(
    settings: Settings, pool: PoolSettings, address: str, submission_id: str, record: JobRecord, run: RunRecord
) -> None:
    """A runner as a Ray job; credentials are the cluster's own, or stand in the pool's runtime environment."""
    from gristmill.jobs.cluster import ClusterClient

    given = pool.runtime_env.get("env_vars", {})
    runtime_env = {**pool.runtime_env, "env_vars": {**_settings_variables(settings, secrets=False), **given}}
    ClusterClient(address).submit(
        " ".join(["python", *_command(record, run)]),
        submission_id=submission_id,
        runtime_env=runtime_env,
        metadata={"gristmill_job": record.id, "name": record.request().name},
    )


def _settings_variables(settings: Settings, *, secrets: bool) -> dict[str, str]:
    """The settings as the environment variables that give them back."""
    values = settings.model_dump(mode="json", exclude=None if secrets else {"storage_options"})
    return {
        f"GRISTMILL_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
    }


def _search_path() -> str:
    """This process's module search path, so that the runner finds the modules that the client found."""
    return os.pathsep.join(path or str(Path.cwd()) for path in sys.path if not path.endswith(".zip"))


def fail(run: RunRecord, message: str) -> None:
    """Record that a run could not be started."""
    from gristmill.jobs.record import State

    now = time.time()
    run.write_state(State(JobStatus.FAILED, message, now, now))
