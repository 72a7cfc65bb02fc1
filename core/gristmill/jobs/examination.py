"""Examining the output of a job, with what the job's record knows of it."""

from collections.abc import Sequence
from datetime import UTC, datetime

from gristmill.errors import ConflictError, JobNotFoundError
from gristmill.jobs.record import JobRecord
from gristmill.outputs.checks import OutputChecks
from gristmill.outputs.examine import CheckFinding, Origin, examine
from gristmill.outputs.sighting import sight
from gristmill.spec.schema_text import schema_from_text
from gristmill.storage.storage import Storage

__all__ = ["examine_output"]


def examine_output(
    storage: Storage,
    location: str,
    checks: OutputChecks,
    *,
    job: str | None = None,
    rows_in: int | None = None,
    names: Sequence[str] | None = None,
    now: datetime | None = None,
) -> tuple[CheckFinding, ...]:
    """Examine the output at a location; see `gristmill.outputs.examine.examine`.

    Args:
        storage: where; its settings tell where the records of jobs are.
        location: a stage, path or URL.
        checks: what is asked.
        job: the id of the job whose output it must be; None takes that of any job.
        rows_in: the rows that went in, where the caller knows better than the job's record.
        names: only these of `checks.names`.
        now: the moment that freshness counts from, with a time zone; None for now.

    Raises:
        LocationError: the location cannot be resolved.
        OSError, or an error of the storage's client: the storage refuses, or is out of reach.

    Example:
        >>> from gristmill.settings import Settings
        >>> finding = examine_output(Storage(Settings()), "memory://nowhere", OutputChecks())[0]
        >>> finding.check, finding.passed, finding.reason
        ('complete', False, "there is no _SUCCESS at 'memory:///nowhere', so no finished output")
    """
    sighting = sight(storage, location)
    whose = job if job is not None or sighting.manifest is None else sighting.manifest.job
    rows, columns = (None, None) if whose is None else _recorded(storage, whose)
    origin = Origin(job, rows if rows_in is None else rows_in, columns)
    return examine(storage, sighting, checks, origin=origin, now=now or datetime.now(UTC), names=names)


def _recorded(storage: Storage, job: str) -> tuple[int | None, tuple[str, ...] | None]:
    """The rows and the columns of a job's input; None for what its record does not tell, or where it is gone."""
    home = storage.resolve(storage.settings.home, what="settings.home")
    record = JobRecord(storage, home, job)
    try:
        request = record.request()
    except (ConflictError, JobNotFoundError):
        return None, None
    rows = request.rows
    if rows is None:
        run = record.latest()
        progress = None if run is None else run.progress()
        rows = None if progress is None else progress.rows_total
    return rows, tuple(schema_from_text(request.input_schema).names)
