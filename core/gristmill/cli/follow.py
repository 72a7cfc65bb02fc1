"""Following a job to its end: a live bar on a terminal, now and then a plain line anywhere else."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gristmill.cli import console
from gristmill.jobs.watch import Seen, Watch, look
from gristmill.wording.metrics import details, speed, token_speed
from gristmill.wording.text import brief, count, duration

if TYPE_CHECKING:
    from gristmill.jobs.handle import Job

__all__ = ["follow"]

_LOOK = 0.5
"""Seconds between looks at the record; it changes every two."""

_WIDE = 90
"""Columns from which on the bar shows the time it took so far too."""

_WIDER = 100
_WIDEST = 150
"""From these on the tokens written per second, and all that a model reads, writes and holds."""

_SAY = 10.0
"""Seconds between plain lines while nothing but the counts changes."""


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
            seen = look(job)
            display.show(seen)
            if seen.status.is_terminal:
                return replace(seen, message=job.message)
            left = _LOOK if deadline is None else min(_LOOK, deadline - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"job {job.id} is {seen.status.value} after {duration(timeout)}; it goes on")
            with contextlib.suppress(TimeoutError):
                job.wait(timeout=left)


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
        self._watch = Watch(began=time.monotonic(), say_every=_SAY)

    def show(self, seen: Seen) -> None:
        self._watch = self._watch.after(seen, now=time.monotonic())
        if self._watch.due is not None:
            console.note(f"{time.strftime('%H:%M:%S')}  {self._watch.due}")


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
            fields["speed"] = ", ".join(speed(progress))
            is_widest = console.err().width >= _WIDEST
            fields["details"] = ", ".join(details(progress)) if is_widest else token_speed(progress, is_short=True)
            fields["errors"] = count(progress.errors, "error") if progress.errors else ""
            if progress.workers == 0 and progress.rows == 0:
                fields["speed"] = "starting workers"
            self.bar.update(self._task, total=total, completed=progress.rows)
        self.bar.update(self._task, **fields)
