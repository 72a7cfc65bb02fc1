"""All jobs of a home, as a table."""

import contextlib
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from gristmill.errors import GristmillError, JobNotFoundError
from gristmill.jobs.handle import Job
from gristmill.jobs.record import JobRecord, job_ids
from gristmill.storage.storage import Storage

__all__ = ["JOB_COLUMNS", "jobs_table"]

_TIME = pa.timestamp("us", tz="UTC")

JOB_COLUMNS = pa.schema(
    {
        "name": pa.string(),
        "status": pa.string(),
        "message": pa.string(),
        "owner": pa.string(),
        "compute_pool": pa.string(),
        "target_instances": pa.int64(),
        "created_time": _TIME,
        "completed_time": _TIME,
        "id": pa.string(),
        "location": pa.string(),
    }
)
"""The columns of `list_jobs()`."""


def jobs_table(storage: Storage, home: str, *, limit: int) -> pa.Table:
    """The newest jobs first, `limit` of them at most (negative for all), with `JOB_COLUMNS`."""
    jobs = []
    for job_id in job_ids(storage, home):
        job = Job(JobRecord(storage, home, job_id))
        try:
            jobs.append((job.request.created, job))
        except GristmillError:
            continue  # deleted while we looked, or recorded by a release this one cannot read
    jobs.sort(key=lambda pair: pair[0], reverse=True)
    rows = []
    for _, job in jobs[: None if limit < 0 else limit]:
        with contextlib.suppress(JobNotFoundError):  # deleted while we looked
            rows.append(_row(job))
    return pa.Table.from_pylist(rows, JOB_COLUMNS)


def _row(job: Job) -> dict[str, Any]:
    completed = job.state().completed
    return {
        "name": job.name,
        "status": job.status.value,
        "message": job.message,
        "owner": job.request.owner,
        "compute_pool": job.compute_pool,
        "target_instances": job.target_instances,
        "created_time": datetime.fromtimestamp(job.request.created, UTC),
        "completed_time": None if completed is None else datetime.fromtimestamp(completed, UTC),
        "id": job.id,
        "location": job.location,
    }
