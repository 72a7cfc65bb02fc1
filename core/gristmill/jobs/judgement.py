"""A job's effective state: its record, the clock and the process table brought together."""

import time

from gristmill.errors import JobNotFoundError
from gristmill.jobs.process import is_alive
from gristmill.jobs.record import JobRecord, RunRecord
from gristmill.jobs.status import Verdict, judge
from gristmill.outputs.claim import ClaimEntry
from gristmill.spec.enums import JobStatus
from gristmill.storage.storage import Storage

__all__ = ["is_live", "verdict_of"]


def verdict_of(run: RunRecord | None) -> Verdict:
    """The effective state of a run; PENDING for a job that was recorded but never started."""
    if run is None:
        return Verdict(JobStatus.PENDING, "recorded, not started")
    state = run.state()
    if state.status.is_terminal:
        return Verdict(state.status, state.message)
    progress, claim = run.progress(), run.claim()
    verdict = judge(
        state,
        now=time.time(),
        claimed=claim.claimed,
        progress=progress,
        alive=is_alive(claim.process if progress is None else progress.process),
        cancel_asked=run.cancel_is_asked(),
    )
    if not verdict.status.is_terminal:
        return verdict
    state = run.state()  # it may have ended while we looked
    return Verdict(state.status, state.message) if state.status.is_terminal else verdict


def is_live(storage: Storage, entry: ClaimEntry) -> bool:
    """Whether the job run that claims a location still runs.

    One whose record cannot be found counts as gone: nobody could resume it.
    """
    run = JobRecord(storage, entry.home, entry.job).run(entry.generation)
    try:
        return not verdict_of(run).status.is_terminal
    except JobNotFoundError:
        return False
