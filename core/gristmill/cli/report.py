"""What a job came to: facts for people, one JSON object for programs, and the first failed rows."""

from typing import TYPE_CHECKING, Any

from gristmill.cli import console
from gristmill.cli.exits import DONE, FAILED
from gristmill.cli.text import count, cut, duration, one_line, printable

if TYPE_CHECKING:
    from gristmill.jobs.handle import Job
    from gristmill.spec.enums import JobStatus

__all__ = ["exit_code", "facts_of", "print_errors", "print_report"]

_SHOWN_ERRORS = 5


def exit_code(status: "JobStatus") -> int:
    """0 for a job that is done, 1 for any other that has ended."""
    return DONE if status.value == "DONE" else FAILED


def facts_of(job: "Job") -> dict[str, Any]:
    """The job as one JSON object."""
    status = job.status
    progress = job.progress()
    return {
        "id": job.id,
        "name": job.name,
        "status": status.value,
        "message": job.message,
        "location": job.location,
        "rows": 0 if progress is None else progress.rows,
        "errors": 0 if progress is None else progress.errors,
        "metrics": {} if progress is None else progress.metrics,
    }


def print_report(job: "Job", *, as_json: bool, took: float | None = None) -> int:
    """Print what a finished job came to, and return the exit code it calls for."""
    from rich.text import Text

    facts = facts_of(job)
    code = exit_code(job.status)
    if as_json:
        console.print_json(facts)
        return code
    progress = job.progress()
    rows = count(facts["rows"], "row")
    if progress is not None and progress.rows_total not in (None, progress.rows):
        rows = f"{count(progress.rows)} of {count(progress.rows_total or 0, 'row')}"
    if took is not None:
        rows += f" in {duration(took)}"
    pairs: list[tuple[str, Any]] = [
        ("job", facts["id"] if facts["name"] == facts["id"] else f"{facts['id']}  {facts['name']}"),
        ("status", Text(facts["status"], style=console.status_style(facts["status"]))),
        ("message", printable(facts["message"])),
        ("rows", rows),
        ("errors", count(facts["errors"]) if facts["errors"] else ""),
        *((one_line(name), f"{value:,.6g}") for name, value in facts["metrics"].items()),
        ("output", facts["location"] if code == DONE else ""),
    ]
    console.out().print(console.facts(pairs))
    if facts["errors"]:
        print_errors(job.errors(), total=facts["errors"])
    if code != DONE:
        console.note(f"\nWhat it printed: gristmill jobs logs {job.id}\nRun the same again to resume it.", style="dim")
    return code


def _place(error: dict[str, Any]) -> str:
    """Where the row stands: counted within its shard, where there is more than the first."""
    row, shard = error.get("row"), error.get("shard")
    if row is None:
        return ""
    return f"shard {shard}, {row}" if shard else str(row)


def print_errors(errors: list[dict[str, Any]], *, total: int) -> None:
    """The first failed rows and why they failed."""
    from rich.text import Text

    if not errors:
        return
    table = console.rows("row", "step", "what happened", right=("row",), fold=("what happened",))
    for error in errors[:_SHOWN_ERRORS]:
        text = Text(f"{error.get('type')}: {cut(one_line(str(error.get('message'))), 300)}")
        if error.get("reference") and str(error["reference"]) not in text.plain:
            text.append("\n" + one_line(str(error["reference"])), style="dim")
        table.add_row(_place(error), str(error.get("step") or ""), text)
    console.out().print()
    console.out().print(table)
    if total > min(len(errors), _SHOWN_ERRORS):
        console.out().print(f"… {count(total - min(len(errors), _SHOWN_ERRORS))} more", style="dim")
