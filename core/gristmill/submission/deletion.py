"""Deleting a job: its record, and its work in progress at the output location."""

import contextlib

from gristmill.errors import ConflictError
from gristmill.jobs.record import JobRecord
from gristmill.storage.storage import Storage

__all__ = ["delete"]


def delete(storage: Storage, record: JobRecord) -> None:
    """Remove the staging folder first, then the record, so that an interruption can be repeated."""
    with contextlib.suppress(ConflictError):  # a record that does not read tells of no staging folder
        storage.delete_tree(record.request().staging)
    run = record.latest()
    claim = None if run is None else run.claim()
    if claim is not None and claim.address is not None and claim.submission_id is not None:
        from gristmill.jobs.cluster import cluster_at

        cluster_at(storage.settings, claim.address).delete(claim.submission_id)
    record.delete()
