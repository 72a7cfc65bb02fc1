"""Starting a run: claim it, then start its runner where the pool says."""

import getpass
import os
import shlex
import socket
import threading
import time

from gristmill.jobs.process import process_of
from gristmill.jobs.record import Claim, JobRecord, RunRecord, State
from gristmill.settings import PoolSettings, Settings
from gristmill.spec.enums import JobStatus
from gristmill.spec.request import RunRequest
from gristmill.storage.location import is_local, join
from gristmill.storage.storage import Storage
from gristmill.submission.warm import WarmRunner, settings_variables

__all__ = ["launch", "user"]


def user() -> str:
    """Who submits."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def launch(
    storage: Storage, record: JobRecord, how: RunRequest, *, after: int, warm: WarmRunner | None
) -> RunRecord | None:
    """Begin the next run of a job and start its runner.

    The claim is written first: of several clients one starts the runner, and one that dies in between leaves a claim
    that goes stale, not a second runner.

    Args:
        storage: with the settings that the runner gets too.
        record: the job.
        how: pool and job spec.
        after: the newest run there is; 0 for none.
        warm: the runner, where it runs as a process of this machine.

    Returns:
        The run, or None when another client began it.

    Raises:
        GristmillError: the runner could not be started; the run is recorded as failed.
    """
    pool = storage.settings.pool(how.pool)
    address = pool.address if pool.kind == "ray" else None
    submission_id = None if address is None else f"{record.id}-{after + 1}"
    process = {} if warm is None else process_of(warm.pid)
    claim = Claim(how, user(), socket.gethostname(), time.time(), address, submission_id, process)
    run = record.claim(claim, after=after)
    if run is None:
        return None
    try:
        if warm is not None:
            log = join(run.logs, "runner.log") if is_local(run.logs) else None
            warm.run(home=record.home, job=record.id, generation=run.generation, log=log)
        elif address is not None and submission_id is not None:
            _submit(storage.settings, pool, address, submission_id, record, run)
        else:
            _run_here(storage, record, run)
    except Exception as error:
        now = time.time()
        run.write_state(State(JobStatus.FAILED, f"the runner could not be started: {error}", now, now))
        raise
    return run


def _run_here(storage: Storage, record: JobRecord, run: RunRecord) -> None:
    from gristmill.runner.execute import execute

    threading.Thread(target=execute, args=(storage, record, run), name=f"run-{record.id}", daemon=True).start()


def _submit(
    settings: Settings, pool: PoolSettings, address: str, submission_id: str, record: JobRecord, run: RunRecord
) -> None:
    """A runner as a Ray job; credentials are the cluster's own, or stand in the pool's runtime environment."""
    from gristmill.jobs.cluster import cluster_at

    given = pool.runtime_env.get("env_vars", {})
    runtime_env = {**pool.runtime_env, "env_vars": {**settings_variables(settings, secrets=False), **given}}
    cluster_at(settings, address).submit(
        shlex.join(["python", "-m", "gristmill.runner", record.home, record.id, str(run.generation)]),
        submission_id=submission_id,
        runtime_env=runtime_env,
        metadata={"gristmill_job": record.id, "name": record.request().name},
    )
