"""A job's effective state: its record, the clock and the process table brought together."""

import time

from gristmill.errors import GristmillError, JobNotFoundError
from gristmill.jobs.cluster import cluster_at
from gristmill.jobs.process import is_alive
from gristmill.jobs.record import Claim, JobRecord, RunRecord
from gristmill.jobs.status import Verdict, judge
from gristmill.outputs.claim import ClaimEntry
from gristmill.settings import Settings
from gristmill.spec.enums import JobStatus
from gristmill.storage.storage import Storage

__all__ = ["is_live", "verdict_of"]

_ANSWER_SECONDS = 5.0


def verdict_of(run: RunRecord | None) -> Verdict:
    """The effective state of a run; PENDING for a job that was recorded but never started."""
    if run is None:
        return Verdict(JobStatus.PENDING, "recorded, not started")
    state = run.state()
    if state.status.is_terminal:
        return Verdict(state.status, state.message)
    progress, claim = run.progress(), run.claim()

    def judged(*, alive: bool | None) -> Verdict:
        return judge(
            state,
            now=time.time(),
            claimed=claim.claimed,
            progress=progress,
            alive=alive,
            cancel_asked=run.cancel_is_asked(),
        )

    verdict = judged(alive=is_alive(claim.process if progress is None else progress.process))
    if verdict.status.is_terminal or verdict.status is JobStatus.CANCELLING:
        # silent, or about to end: a cluster may keep a run waiting for nodes for hours, and end one unheard
        known = _is_alive_there(claim, run.storage.settings)
        verdict = verdict if known is None else judged(alive=known)
    if not verdict.status.is_terminal:
        return verdict
    state = run.state()  # it may have ended while we looked
    return Verdict(state.status, state.message) if state.status.is_terminal else verdict


def _is_alive_there(claim: Claim, settings: Settings) -> bool | None:
    """Whether the cluster says that a run waits or runs; None when it does not say, or there is no cluster."""
    if claim.address is None or claim.submission_id is None:
        return None
    try:
        return cluster_at(settings, claim.address, timeout=_ANSWER_SECONDS).is_alive(claim.submission_id)
    except GristmillError:
        return None  # time decides


def is_live(storage: Storage, entry: ClaimEntry) -> bool:
    """Whether the job run that claims a location still runs.

    One whose record cannot be found counts as gone: nobody could resume it.
    """
    run = JobRecord(storage, entry.home, entry.job).run(entry.generation)
    try:
        return not verdict_of(run).status.is_terminal
    except JobNotFoundError:
        return False
