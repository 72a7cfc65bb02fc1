"""Watching a job: what was seen of it, and what that asks for. Shared by all that wait for jobs."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from gristmill.errors import GristmillError
from gristmill.spec.enums import JobStatus
from gristmill.wording.metrics import details, speed
from gristmill.wording.text import count, one_line

if TYPE_CHECKING:
    from gristmill.jobs.handle import Job
    from gristmill.jobs.record import Progress

__all__ = ["Seen", "Watch", "line", "look", "observe"]

_SHORTEST_PAUSE = 0.1
_FIRST_PAUSE = 0.5
_PATIENCE = 0.1
"""Pauses grow to this share of the time waited so far: a short job is noticed at once, a long one costs few looks."""


_BLIND_LIMIT = 600.0
"""Seconds for which a watcher bears that it cannot look; the job itself goes on meanwhile."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a job at one moment.

    Attributes:
        status: its state.
        message: its one line.
        progress: its counts; None before it has any.
    """

    status: JobStatus
    message: str = ""
    progress: "Progress | None" = None


def look(job: "Job") -> Seen:
    """What can be seen of a job now; reads its record."""
    verdict = job.verdict()  # before the counts, so that those of a finished job are its last
    return Seen(verdict.status, verdict.message, job.progress())


@dataclass(frozen=True, slots=True)
class Watch:
    """A wait for one job, as data: what it has seen and said. Each look makes the next one; there is no clock in it.

    Attributes:
        began: when the waiting began, in seconds of any clock.
        say_every: seconds between lines while nothing but the counts changes.
        longest_pause: seconds between two looks at most.
        seen: what was seen last.
        said: what was said last.
        said_at: when.
        blind_since: when looking began to fail; None while it works.
        due: the line to say now, or None.

    Example:
        >>> watch = Watch(began=0.0).after(Seen(JobStatus.RUNNING), now=100.0)
        >>> watch.due, watch.has_ended, watch.pause(100.0)
        ('RUNNING', False, 10.0)
    """

    began: float
    say_every: float = 60.0
    longest_pause: float = 30.0
    seen: Seen | None = None
    said: Seen | None = None
    said_at: float = 0.0
    blind_since: float | None = None
    due: str | None = None

    def after(self, seen: Seen, *, now: float) -> Self:
        """The watch after one more look."""
        is_news = self.said is None or seen.status is not self.said.status
        if not is_news and now - self.said_at < self.say_every:
            return replace(self, seen=seen, blind_since=None, due=None)
        return replace(self, seen=seen, said=seen, said_at=now, blind_since=None, due=line(seen))

    def after_failure(self, error: Exception, *, now: float) -> Self:
        """The watch after a look that failed, such as when the storage of the job's record is out of reach."""
        since = now if self.blind_since is None else self.blind_since
        is_news = self.blind_since is None or now - self.said_at >= self.say_every
        due = f"the job's record cannot be read, looking again: {type(error).__name__}: {error}" if is_news else None
        return replace(self, blind_since=since, said_at=now if is_news else self.said_at, due=due)

    def gives_up(self, now: float) -> bool:
        """Whether looking has failed for so long that the wait should end with its error."""
        return self.blind_since is not None and now - self.blind_since >= _BLIND_LIMIT

    def bearing(self, error: Exception, *, now: float) -> Self:
        """The watch after a look that failed, while that can be borne.

        Raises:
            Exception: the error itself, once looking has failed for too long.
        """
        blind = self.after_failure(error, now=now)
        if blind.gives_up(now):
            raise error
        return blind

    @property
    def has_ended(self) -> bool:
        """Whether the job was seen in a terminal state."""
        return self.seen is not None and self.seen.status.is_terminal

    def pause(self, now: float) -> float:
        """Seconds until the next look."""
        return max(_SHORTEST_PAUSE, min(self.longest_pause, max(_FIRST_PAUSE, _PATIENCE * (now - self.began))))


def observe(watch: Watch, job: "Job", *, now: float) -> Watch:
    """One more look at a job.

    Raises:
        GristmillError: the record cannot be right.
        Exception: whatever the storage raises, once that has gone on for ten minutes.
    """
    try:
        return watch.after(look(job), now=now)
    except GristmillError:
        raise
    except Exception as error:  # noqa: BLE001 - each storage has errors of its own, and most pass
        return watch.bearing(error, now=now)


def line(seen: Seen) -> str:
    """What was seen, as one plain line."""
    parts = [seen.status.value]
    progress = seen.progress
    if progress is None:
        return f"{parts[0]}  {one_line(seen.message)}".rstrip()
    total = progress.rows_total
    parts.append(count(progress.rows, "row") if total is None else f"{count(progress.rows)} of {count(total, 'row')}")
    if total:
        parts.append(f"{100 * progress.rows / total:.0f} %")
    if not seen.status.is_terminal:
        parts += [*speed(progress), *details(progress)]
    if progress.errors:
        parts.append(count(progress.errors, "error"))
    return "  ".join(parts)
