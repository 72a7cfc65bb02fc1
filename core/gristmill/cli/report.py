"""What a job came to: facts for people, one JSON object for programs, and the first failed rows."""

from typing import TYPE_CHECKING, Any

from gristmill.cli import console
from gristmill.cli.exits import DONE, FAILED
from gristmill.wording.metrics import amounts
from gristmill.wording.text import count, cut, duration, one_line, printable

if TYPE_CHECKING:
    from gristmill.jobs.handle import Job
    from gristmill.spec.enums import JobStatus

__all__ = ["exit_code", "facts_of", "message_of", "print_errors", "print_report"]

_SHOWN_ERRORS = 5
_QUOTE = 160


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


def message_of(facts: dict[str, Any]) -> str:
    """The job's message, cut where the failed rows it quotes are shown too; nothing where it only says the status."""
    message = printable(facts["message"])
    if message.lower() == facts["status"].lower():
        return ""
    return cut(message, _QUOTE) if facts["errors"] else message


def print_report(job: "Job", *, as_json: bool, took: float | None = None, resumable: bool = False) -> int:
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
        ("job", facts["id"]),
        ("name", "" if facts["id"].startswith(facts["name"]) else facts["name"]),
        ("status", Text(facts["status"], style=console.status_style(facts["status"]))),
        ("message", "" if code == DONE else message_of(facts)),
        ("rows", rows),
        ("errors", count(facts["errors"]) if facts["errors"] else ""),
        *amounts(facts["metrics"], {} if progress is None else progress.means),
        ("output", facts["location"] if code == DONE else ""),
    ]
    console.out().print(console.facts(pairs))
    if facts["errors"]:
        print_errors(job.errors(), total=facts["errors"])
    if code != DONE:
        again = f"\nTo resume it, run the same with --name {job.name}" if resumable else ""
        console.note(f"\nWhat it printed: gristmill jobs logs {job.id}{again}", style="dim")
    return code


def _place(error: dict[str, Any]) -> str:
    """Where the row stands: counted within its shard, with the shard before it for any but the first."""
    row, shard = error.get("row"), error.get("shard")
    if row is None:
        return ""
    return f"{shard}/{row}" if shard else str(row)


def print_errors(errors: list[dict[str, Any]], *, total: int) -> None:
    """The first failed rows and why they failed; rows that failed alike are told once.

    Args:
        errors: the first of them.
        total: how many rows failed in all.
    """
    from rich.text import Text

    if not errors:
        return
    alike: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for error in errors:
        what = f"{error.get('type')}: {cut(one_line(str(error.get('message'))), 300)}"
        alike.setdefault((str(error.get("step") or ""), what), []).append(error)
    table = console.rows("row", "step", "what happened", right=("row",), fold=("what happened",))
    for (step, what), group in list(alike.items())[:_SHOWN_ERRORS]:
        text = Text(what)
        reference = one_line(str(group[0].get("reference") or ""))
        if reference not in what:
            text.append(f"\n{reference}", style="dim")
        if len(group) > 1:
            places = ", ".join(_place(error) for error in group[1:_SHOWN_ERRORS])
            more = ", …" if len(group) > _SHOWN_ERRORS else ""
            text.append(f"\nlikewise {places}{more}", style="dim")
        table.add_row(_place(group[0]), step, text)
    console.out().print()
    console.out().print(table)
    told = sum(len(group) for group in list(alike.values())[:_SHOWN_ERRORS])
    if total > told:
        console.out().print(f"… {count(total - told, 'failed row')} more", style="dim")
