"""`gristmill jobs`: what ran, what runs, and the hold one has on it."""

import sys
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gristmill.cli import console
from gristmill.cli.exits import handled
from gristmill.cli.reattach import Reattach
from gristmill.wording.metrics import amounts, busy, token_speed
from gristmill.wording.text import age, count, cut, duration, one_line, printable

if TYPE_CHECKING:
    from gristmill.jobs.handle import Job

__all__ = ["jobs"]

jobs = typer.Typer(name="jobs", no_args_is_help=True, help="List, watch, cancel and delete jobs.")

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="A job's id or name.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON.")]

_LOG_LOOK = 1.0
"""Seconds between looks at the logs that are followed."""


@jobs.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, newest first.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """The newest jobs."""
    with handled(as_json=as_json):
        from gristmill import list_jobs

        found = list_jobs(limit=limit).collect()
        if as_json:
            console.print_json(found)
            return
        if not found:
            console.note("There are no jobs yet. gristmill demo runs a first one.")
            return
        _print_jobs(found)


def _print_jobs(found: list[dict[str, Any]]) -> None:
    from rich.text import Text

    now = datetime.now(UTC)
    names = Counter(job["name"] for job in found)
    heads = ("job", "status", "pool", "created", "took")
    lines = []
    for job in found:
        created, completed = job.get("created_time"), job.get("completed_time")
        status = str(getattr(job["status"], "value", job["status"]))
        end = completed if completed is not None else (now if status in ("RUNNING", "CANCELLING") else None)
        lines.append(
            (
                job["name"] if names[job["name"]] == 1 else job["id"],  # both name it; the name is shorter
                status,
                one_line(str(job.get("compute_pool") or "")),
                "" if created is None else age(created, now),
                "" if created is None or end is None else duration((end - created).total_seconds()),
                one_line(str(job.get("message") or "")),
            )
        )
    taken = sum(max(map(len, column)) + 2 for column in zip(heads, *lines, strict=False))
    table = console.rows(*heads, "message", right=("took",))
    for name, status, *others, message in lines:
        style = console.status_style(status)
        table.add_row(name, Text(status, style=style), *others, cut(message, max(console.out().width - taken, 8)))
    console.out().print(table)


@jobs.command()
def show(job: JobArgument, as_json: JsonOption = False) -> None:
    """One job: its state, its counts, its first failed rows."""
    with handled(as_json=as_json):
        from gristmill import get_job
        from gristmill.cli.report import facts_of, message_of, print_errors

        found = get_job(job)
        facts = facts_of(found)
        progress = found.progress()
        errors = found.errors()
        if as_json:
            from dataclasses import asdict

            counts = (
                None
                if progress is None
                else {key: value for key, value in asdict(progress).items() if key != "process"}
            )
            console.print_json({**facts, "progress": counts, "failed_rows": errors})
            return
        from rich.text import Text

        pairs: list[tuple[str, Any]] = [
            ("job", facts["id"]),
            ("name", "" if facts["id"].startswith(facts["name"]) else facts["name"]),
            ("status", Text(facts["status"], style=console.status_style(facts["status"]))),
            ("message", message_of(facts)),
            *_counts(found),
            ("output", facts["location"]),
        ]
        console.out().print(console.facts(pairs))
        print_errors(errors, total=facts["errors"])


def _counts(job: "Job") -> list[tuple[str, Any]]:
    progress = job.progress()
    if progress is None:
        return []
    running = not job.status.is_terminal
    total = "" if progress.rows_total is None else f" of {count(progress.rows_total)}"
    return [
        ("rows", f"{count(progress.rows)}{total}"),
        ("errors", count(progress.errors) if progress.errors else ""),
        ("shards", f"{count(progress.shards)} of {count(progress.shards_total)}" if progress.shards_total else ""),
        ("rate", f"{count(progress.rate)} rows/s" if running and progress.rate else ""),
        ("left", duration(progress.eta) if running and progress.eta is not None else ""),
        ("tokens", token_speed(progress) if running else ""),
        ("model", busy(progress) if running else ""),
        ("workers", f"{progress.workers} ready" if running else ""),
        ("dashboard", progress.dashboard or ""),
        *amounts(progress.metrics, progress.means),
    ]


@jobs.command()
def wait(
    job: JobArgument,
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Give up waiting after so long; the job goes on.", show_default=False),
    ] = -1,
    as_json: JsonOption = False,
) -> None:
    """Follow a job to its end; the exit code says how it ended.

    0 done, 1 failed, cancelled or not finished in time, 2 no such job,
    130 interrupted (the job goes on).
    """
    reattach = Reattach("\nInterrupted.")
    with handled(as_json=as_json, interrupted=reattach):
        from gristmill import get_job
        from gristmill.cli.follow import follow
        from gristmill.cli.report import print_report

        found = get_job(job)
        reattach.to(found.id)
        follow(found, timeout=timeout)
        raise typer.Exit(print_report(found, as_json=as_json))


@jobs.command()
def logs(
    job: JobArgument,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", metavar="", help="Go on printing until the job ends.")
    ] = False,
    instance: Annotated[str | None, typer.Option(metavar="N", help="Only this worker's; or 'runner'.")] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="LINES", help="Only the last so many.", show_default=False)
    ] = -1,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", metavar="", help="Say which instance printed each line.")
    ] = False,
) -> None:
    """What a job printed."""
    reattach = Reattach("")
    with handled(interrupted=reattach):
        from gristmill import get_job

        found = get_job(job)
        if not found.status.is_terminal:
            reattach.to(found.id)
        if not follow:
            _print_lines(_lines(found, limit, instance, verbose=verbose))
            return
        said: dict[str, int] = {}
        while True:
            ended = found.status.is_terminal  # before the lines, so that the last ones are not missed
            new = _new_lines(found, instance, said)
            _print_lines(
                [line if verbose else line.partition("] ")[2] for line in (new if limit < 0 else new[-limit:])]
            )
            limit = -1
            if ended:
                return
            time.sleep(_LOG_LOOK)


def _lines(job: "Job", limit: int, instance: str | None, *, verbose: bool) -> list[str]:
    lines = job.get_logs(limit, instance, as_list=True, verbose=verbose)
    return lines if isinstance(lines, list) else lines.splitlines()


def _new_lines(job: "Job", instance: str | None, said: dict[str, int]) -> list[str]:
    """The lines not said yet, each with its instance before it; `said` counts those of each, and is updated."""
    new, count_of = [], dict.fromkeys(said, 0)
    for line in _lines(job, -1, instance, verbose=True):
        name = line.partition("] ")[0]
        count_of[name] = count_of.get(name, 0) + 1
        if count_of[name] > said.get(name, 0):
            new.append(line)
    said.update(count_of)
    return new


def _print_lines(lines: list[str]) -> None:
    clean = printable if sys.stdout.isatty() else str
    sys.stdout.writelines(f"{clean(line)}\n" for line in lines)
    sys.stdout.flush()


@jobs.command()
def cancel(job: JobArgument, as_json: JsonOption = False) -> None:
    """Stop a job. What it has committed is kept, and running it again goes on from there."""
    with handled(as_json=as_json):
        from gristmill import get_job

        found = get_job(job)
        found.cancel()
        status = found.status
        if as_json:
            console.print_json({"id": found.id, "status": status})
            return
        console.out().print(f"{found.id}  {status.value}")
        if not status.is_terminal:
            console.note(f"Replicas end within 30 seconds; to wait for it: gristmill jobs wait {found.id}", style="dim")


@jobs.command()
def delete(
    job: Annotated[
        list[str], typer.Argument(metavar="JOB...", help="Ids or names of jobs that have ended.", show_default=False)
    ],
    as_json: JsonOption = False,
) -> None:
    """Forget jobs: their records and logs. Outputs stay."""
    with handled(as_json=as_json):
        from gristmill import delete_job, get_job

        deleted = []
        for name in job:
            found = get_job(name)
            delete_job(found)
            deleted.append({"id": found.id, "status": "DELETED"})
        if as_json:
            console.print_json(deleted)
            return
        for entry in deleted:
            console.out().print(f"{entry['id']}  {entry['status']}")
