"""The status of a service as a pure function of its record and the time."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["BEAT_LIMIT", "CLAIM_LIMIT", "ServiceStatus", "Verdict", "judge"]

BEAT_LIMIT = 60.0
"""Seconds without a beat after which a keeper elsewhere counts as gone (it beats every five)."""

CLAIM_LIMIT = 120.0
"""Seconds that a keeper elsewhere may take from the claim to its first beat."""


class ServiceStatus(StrEnum):
    """Where a service stands.

    Example:
        >>> [status.value for status in ServiceStatus if status.has_ended]
        ['FAILED', 'STOPPED']
    """

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    FAILED = "FAILED"
    STOPPED = "STOPPED"

    @property
    def has_ended(self) -> bool:
        """Whether it will not answer any more."""
        return self in (ServiceStatus.FAILED, ServiceStatus.STOPPED)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a service's record amounts to.

    Attributes:
        status: the effective state.
        message: one line for people; empty when there is nothing to say.
    """

    status: ServiceStatus
    message: str = ""


def judge(
    written: Verdict,
    *,
    now: float,
    claimed: float,
    beat: float | None,
    keeper_lives: bool | None,
    server_lives: bool | None,
) -> Verdict:
    """The effective state of a service.

    Args:
        written: the state as its keeper wrote it last.
        now: seconds since the epoch.
        claimed: when it was started.
        beat: when its keeper wrote last; None before the first time.
        keeper_lives: whether the process that holds the server lives; None when that cannot be told from here.
        server_lives: likewise of the server.

    Example:
        >>> running = Verdict(ServiceStatus.RUNNING)
        >>> judge(running, now=9, claimed=1, beat=8, keeper_lives=True, server_lives=False).status.value
        'FAILED'
    """
    if written.status.has_ended:
        return written
    last = claimed if beat is None else beat
    limit = CLAIM_LIMIT if beat is None else BEAT_LIMIT
    if keeper_lives is False or (keeper_lives is None and now - last > limit):
        return Verdict(
            ServiceStatus.FAILED, f"its process is gone; its last sign of life is {max(now - last, 0):.0f} s old"
        )
    if server_lives is False:
        return Verdict(ServiceStatus.FAILED, "its server's process is gone")
    return written
