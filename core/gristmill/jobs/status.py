"""The status of a job as a pure function of its record and the time."""

from dataclasses import dataclass
from typing import Literal

from gristmill.jobs.record import Progress, State
from gristmill.spec.enums import JobStatus

__all__ = ["HEARTBEAT_LIMIT", "START_LIMIT", "Verdict", "judge", "may_attach", "next_step"]

HEARTBEAT_LIMIT = 60.0
"""Seconds without a heartbeat after which a runner elsewhere counts as gone (it beats every two)."""

START_LIMIT = 120.0
"""Seconds that a runner may take from the claim to its first heartbeat; Ray's Jobs API can take a minute."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a job's record amounts to.

    Attributes:
        status: the effective state.
        message: one line for people.
    """

    status: JobStatus
    message: str


def judge(
    state: State,
    *,
    now: float,
    claimed: float,
    progress: Progress | None,
    alive: bool | None,
    cancel_asked: bool,
    start_limit: float = START_LIMIT,
) -> Verdict:
    """The effective state of a run.

    Args:
        state: as its runner wrote it last.
        now: seconds since the epoch.
        claimed: when the run was claimed.
        progress: its latest heartbeat.
        alive: whether the runner's process lives; None when that cannot be told.
        cancel_asked: whether somebody asked it to stop.
        start_limit: seconds allowed from the claim to the first heartbeat.
    """
    if state.status.is_terminal:
        return Verdict(state.status, state.message)
    last = claimed if progress is None else progress.time
    limit = start_limit if progress is None else HEARTBEAT_LIMIT
    gone = alive is False or (alive is None and now - last > limit)
    if gone and cancel_asked:
        return Verdict(JobStatus.CANCELLED, "cancelled; its runner was gone already")
    if gone:
        silent = f"its last sign of life is {now - last:.0f} s old"
        return Verdict(JobStatus.INTERNAL_ERROR, f"the runner is gone ({silent}); run the job again to resume it")
    if cancel_asked:
        return Verdict(JobStatus.CANCELLING, "asked to stop")
    return Verdict(state.status, state.message)


def next_step(
    status: JobStatus | None, *, force_rerun: bool, output_stands: bool
) -> Literal["start", "attach", "wait", "return", "resume", "restart"]:
    """What running a job again means.

    Args:
        status: the effective state of the job with the same key and fingerprint; None when there is none.
        force_rerun: the caller wants it done again.
        output_stands: whether a finished job's output is still where it was published.

    Returns:
        `start` a first run; `attach` to the live run; `wait` until it has ended, since it will not finish; `return` the
        finished job; `resume` what has not committed; `restart` as a new job.
    """
    if status is None:
        return "start"
    if status is JobStatus.CANCELLING:
        return "wait"
    if not status.is_terminal:
        return "attach"
    if status is JobStatus.DONE:
        return "restart" if force_rerun or not output_stands else "return"
    return "restart" if force_rerun else "resume"


def may_attach(status: JobStatus, *, output_stands: bool) -> bool:
    """Whether a job in this state is or will be what was asked for, so that a retry need not ask again.

    Args:
        status: the effective state.
        output_stands: whether a finished job's output is still where it was published.

    Example:
        >>> may_attach(JobStatus.RUNNING, output_stands=False), may_attach(JobStatus.DONE, output_stands=False)
        (True, False)
    """
    if status is JobStatus.DONE:
        return output_stands
    return not (status.is_terminal or status is JobStatus.CANCELLING)
