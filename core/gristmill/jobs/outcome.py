"""What the end of a job means to whoever waited for it: a manifest, or an error that tells the story."""

import contextlib
import math
from typing import TYPE_CHECKING, Any

from gristmill.errors import FailedRowsError, GristmillError, JobFailedError, SpecError
from gristmill.spec.enums import JobStatus
from gristmill.wording.text import count, cut, one_line, scrubbed

if TYPE_CHECKING:
    from gristmill.jobs.handle import Job
    from gristmill.outputs.manifest import Manifest

__all__ = ["ErrorLimit", "check_errors", "outcome_of", "parse_error_limit"]

ErrorLimit = bool | int | float | None
"""How many rows or partitions may fail: None or False takes any, True none, a number so many, or a share below 1."""

_LOG_LINES = 40
_ROWS = 5
_LINE = 500


def parse_error_limit(given: Any) -> ErrorLimit:
    """The limit that `fail_on_errors` says; text, as templates give it, is read as what it spells.

    Raises:
        SpecError: it is none of them.

    Example:
        >>> parse_error_limit("0.05"), parse_error_limit("true"), parse_error_limit(10)
        (0.05, True, 10)
    """
    value = given
    if isinstance(given, str):
        text = given.strip().lower()
        words: dict[str, ErrorLimit] = {"true": True, "false": False, "none": None, "": None}
        if text in words:
            return words[text]
        with contextlib.suppress(ValueError):
            value = float(text) if "." in text or "e" in text else int(text)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if value is None or isinstance(value, bool):
        return value
    if not is_number or value < 0 or (isinstance(value, float) and value >= 1 and not value.is_integer()):
        raise SpecError(
            f"fail_on_errors: {given!r} is no limit; give True (no row may fail), a number of rows such as 10, "
            "or a share of all rows such as 0.05"
        )
    return int(value) if isinstance(value, float) and value >= 1 else value


def check_errors(errors: int, tried: int, *, limit: ErrorLimit, what: str = "row") -> str | None:
    """What is wrong with so many failures, or None.

    Args:
        errors: the failed ones.
        tried: of so many.
        limit: what the caller takes.
        what: rows, or partitions.

    Example:
        >>> check_errors(3, 100, limit=0.02)
        '3 of 100 rows failed, 3 %, and fail_on_errors=0.02 takes 2 %'
    """
    if limit is None or limit is False:
        return None
    if isinstance(limit, float):
        if not tried or errors / tried <= limit:
            return None
        return (
            f"{count(errors)} of {count(tried, what)} failed, {100 * errors / tried:.2g} %, "
            f"and fail_on_errors={limit} takes {100 * limit:g} %"
        )
    most = 0 if limit is True else limit
    return (
        f"{count(errors)} of {count(tried, what)} failed, and fail_on_errors={limit} takes {count(most)}"
        if errors > most
        else None
    )


def outcome_of(job: "Job", *, fail_on_errors: ErrorLimit = None) -> "Manifest":
    """The manifest of a job that has ended.

    Args:
        job: the job; it has ended.
        fail_on_errors: how many failed rows are too many, though the job took them.

    Raises:
        JobFailedError: it did not end well: its state, its error, the end of its log.
        FailedRowsError: it is done, with more failed rows than `fail_on_errors` takes.
    """
    status = job.status
    if status is not JobStatus.DONE:
        raise JobFailedError(_story(job, status, job.message))
    manifest = job.manifest()
    errors, tried, what = manifest.errors, manifest.tried, manifest.errors_of
    if problem := check_errors(errors, tried, limit=fail_on_errors, what=what):
        raise FailedRowsError(f"job {job.id!r}: {problem}; the output stands at {job.location!r}{_failed_rows(job)}")
    return manifest


def _story(job: "Job", status: JobStatus, message: str) -> str:
    text = f"job {job.id!r} is {status.value}: {scrubbed(message)}"
    lines: list[str] | str = []
    with contextlib.suppress(GristmillError):
        lines = job.get_logs(_LOG_LINES, as_list=True, verbose=True)
    if lines:
        text += "\nThe end of its log:\n" + "\n".join(f"  {cut(scrubbed(entry), _LINE)}" for entry in lines)
    return text


def _failed_rows(job: "Job") -> str:
    rows = job.errors()
    if not rows:
        return ""
    told = [
        f"  shard {row['shard']} row {row['row']}: {row['step']}: {row['type']}: {cut(one_line(row['message']), _LINE)}"
        for row in rows[:_ROWS]
    ]
    return "\nThe first rows that failed:\n" + "\n".join(told)
