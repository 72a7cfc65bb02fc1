"""Ending a service: all its processes, wherever it stands, then its record and its key."""

import contextlib
import os
import shutil
import signal
import time

from gristmill.errors import ConflictError, JobNotFoundError
from gristmill.jobs.cluster import cluster_at
from gristmill.jobs.process import is_alive
from gristmill.services.descendants import descendants, session_members
from gristmill.services.keeper import GRACE
from gristmill.services.keys import forget_key, log_folder
from gristmill.services.record import ServiceRecord, StartClaim, StartRecord
from gristmill.services.status import BEAT_LIMIT

__all__ = ["drop", "end"]

_LOOK = 0.05
_LOOK_ELSEWHERE = 1.0


def drop(record: ServiceRecord) -> None:
    """End a service and forget it.

    Raises:
        ServiceNotFoundError: there is none (any more).
        ConflictError: it is another machine's, and does not end.
    """
    start = record.newest()
    claim = start.claim()
    end(record, start, claim)
    record.delete()
    forget_key(claim.key)
    shutil.rmtree(log_folder(record.home, record.name), ignore_errors=True)


def end(record: ServiceRecord, start: StartRecord, claim: StartClaim) -> None:
    """End one start of a service, and come back when nothing of it runs.

    Raises:
        ConflictError: it is another machine's, and does not end.
    """
    state = start.state()
    process = state.process or claim.process
    alive = is_alive(process)
    if alive is None and not start.verdict().status.has_ended:
        start.ask_to_stop()
        _wait_elsewhere(record, start, claim)
        return
    if alive is None:
        return
    if alive:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(process["pid"]), signal.SIGTERM)
        deadline = time.monotonic() + 2 * GRACE
        while is_alive(process) and time.monotonic() < deadline:
            time.sleep(_LOOK)
        if is_alive(process):
            for pid in [*descendants(int(process["pid"])), int(process["pid"])]:
                _kill(pid)
    # a keeper that was killed could not end what its server had left behind
    if process.get("started") is not None:
        while left := session_members(int(process["pid"]), started=str(process["started"])):
            for pid in left:
                _kill(pid)
            time.sleep(_LOOK)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _wait_elsewhere(record: ServiceRecord, start: StartRecord, claim: StartClaim) -> None:
    """Until a keeper elsewhere has ended its server, or counts as gone."""
    began = time.monotonic()
    while not start.verdict().status.has_ended:
        waited = time.monotonic() - began
        if claim.address is not None and claim.submission_id is not None and waited > 2 * GRACE:
            with contextlib.suppress(JobNotFoundError):
                cluster_at(record.storage.settings, claim.address).stop(claim.submission_id)
            return
        if waited > 2 * BEAT_LIMIT:
            raise ConflictError(
                f"service {record.name!r} on {claim.machine!r} was asked to end, and has not; drop it on that machine"
            )
        time.sleep(_LOOK_ELSEWHERE)
