"""Following a job to its end: a live bar on a terminal, now and then a plain line anywhere else."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gristmill.cli import console
from gristmill.cli.metrics import busy, token_speed
from gristmill.cli.text import brief, count, duration, one_line

if TYPE_CHECKING:
    from gristmill.jobs.handle import Job
    from gristmill.jobs.record import Progress
    from gristmill.spec.enums import JobStatus

__all__ = ["Seen", "follow", "line", "should_say"]

_LOOK = 0.5
"""Seconds between looks at the record; it changes every two."""

_WIDE = 90
"""Columns from which on the bar shows the time it took so far too."""

_WIDER = 100
_WIDEST = 150
"""From these on the tokens written per second, and all that a model reads, writes and holds."""

_SAY = 10.0
"""Seconds between plain lines while nothing but the counts changes."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a job at one moment.

    Attributes:
        status: its state.
        message: its one line.
        progress: its counts; None before it has any.
    """

    status: "JobStatus"
    message: str = ""
    progress: "Progress | None" = None


def should_say(now: float, seen: Seen, *, said: Seen | None, said_at: float) -> bool:
    """Whether a plain line is due: at each change of state, and every ten seconds."""
    return said is None or seen.status is not said.status or now - said_at >= _SAY


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
        parts += _speed(progress) + _details(progress)
    if progress.errors:
        parts.append(count(progress.errors, "error"))
    return "  ".join(parts)


def _speed(progress: "Progress") -> list[str]:
    parts = []
    if progress.rate:
        parts.append(f"{brief(progress.rate)} rows/s" if progress.rate >= 10 else f"{progress.rate:.1f} rows/s")
    if progress.eta is not None:
        parts.append(f"{duration(progress.eta)} left")
    return parts


def _details(progress: "Progress") -> list[str]:
    return [part for part in (token_speed(progress), busy(progress)) if part]


def follow(job: "Job", *, timeout: float = -1) -> Seen:
    """Show a job's progress on stderr until it ends, and return the last that was seen.

    Args:
        job: the job.
        timeout: seconds to wait at most; -1 waits for ever.

    Raises:
        TimeoutError: it still runs after `timeout` seconds.
    """
    deadline = None if timeout < 0 else time.monotonic() + timeout
    with _display() as display:
        while True:
            seen = _look(job)
            display.show(seen)
            if seen.status.is_terminal:
                return replace(seen, message=job.message)
            left = _LOOK if deadline is None else min(_LOOK, deadline - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"job {job.id} is {seen.status.value} after {duration(timeout)}; it goes on")
            with contextlib.suppress(TimeoutError):
                job.wait(timeout=left)


def _look(job: "Job") -> Seen:
    status = job.status  # before the counts, so that those of a finished job are its last
    return Seen(status, job.message, job.progress())


@contextlib.contextmanager
def _display() -> Iterator["_Bar | _Lines"]:
    if not console.err().is_terminal:
        yield _Lines()
        return
    bar = _Bar()
    with bar.bar:
        yield bar


class _Lines:
    """Plain lines, for logs."""

    def __init__(self) -> None:
        self._said: Seen | None = None
        self._said_at = 0.0

    def show(self, seen: Seen) -> None:
        now = time.monotonic()
        if should_say(now, seen, said=self._said, said_at=self._said_at):
            console.note(f"{time.strftime('%H:%M:%S')}  {line(seen)}")
            self._said, self._said_at = seen, now


class _Bar:
    """A live line for terminals; it is cleared at the end, for the report that follows."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self.bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[status]}", style="cyan"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[rows]}"),
            TextColumn("{task.fields[speed]}", style="dim"),
            TextColumn("{task.fields[errors]}", style="red"),
            *([TextColumn("{task.fields[details]}", style="dim")] if console.err().width >= _WIDER else []),
            *([TimeElapsedColumn()] if console.err().width >= _WIDE else []),
            console=console.err(),
            transient=True,
            expand=True,
        )
        self._task = self.bar.add_task("", total=None, status="PENDING", rows="", speed="", errors="", details="")

    def show(self, seen: Seen) -> None:
        fields: dict[str, Any] = {"status": seen.status.value}
        progress = seen.progress
        if progress is not None:
            total = progress.rows_total
            shown = brief(progress.rows) if total is None else f"{brief(progress.rows)}/{brief(total)}"
            fields["rows"] = f"{shown} rows"
            fields["speed"] = ", ".join(_speed(progress))
            is_widest = console.err().width >= _WIDEST
            fields["details"] = ", ".join(_details(progress)) if is_widest else token_speed(progress, is_short=True)
            fields["errors"] = count(progress.errors, "error") if progress.errors else ""
            if progress.workers == 0 and progress.rows == 0:
                fields["speed"] = "starting workers"
            self.bar.update(self._task, total=total, completed=progress.rows)
        self.bar.update(self._task, **fields)
