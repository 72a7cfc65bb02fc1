"""A job's identity: who asks (the key) and what for (the fingerprint); never the attempt."""

import hashlib
import re
import secrets
import time

from gristmill.jobs.record import JobRecord
from gristmill.spec.job import JobSpec
from gristmill.storage.storage import Storage

__all__ = ["job_id", "job_name", "newest_of_family", "rerun_number"]


_SLUG = 60
"""At most this much of a key stands in a name; the digest tells keys apart."""

_RERUN = re.compile(r"-[0-9a-f]{12}\.([0-9]+)\Z")
"""The end of a forced rerun's id; a name may hold dots too."""


def job_name(how: JobSpec, key: str | None = None) -> str:
    """The given name, else one that the key gives every time, else one that is new every time.

    Example:
        >>> job_name(JobSpec(job_name_prefix="nightly"), "dag/task/2026-01-01")
        'nightly-dag-task-2026-01-01-f580ec94'
    """
    if how.job_name is not None:
        return how.job_name
    if key is not None:
        slug = re.sub(r"[^A-Za-z0-9_.]+", "-", key)[:_SLUG].strip("-_.")
        digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
        prefix = how.job_name_prefix if how.job_name_prefix is not None or slug else "batch"
        return "-".join(part for part in (prefix, slug, digest) if part)
    prefix = how.job_name_prefix if how.job_name_prefix is not None else "batch"
    return f"{prefix}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"


def job_id(name: str, *, key: str, fingerprint: str) -> str:
    """The id of the job that `key` asks for: the name and twelve digits of key and fingerprint.

    Example:
        >>> job_id("nightly", key="dag/task/2026-01-01", fingerprint="00ff")
        'nightly-696200356d13'
    """
    digest = hashlib.blake2b(f"{key}\0{fingerprint}".encode(), digest_size=6).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '-', name)}-{digest}"


def newest_of_family(storage: Storage, home: str, base: str) -> tuple[JobRecord | None, JobRecord]:
    """The newest job of a family (a job and its forced reruns), and the record a further one would take.

    Args:
        storage: where.
        home: of the records.
        base: the first one's id; reruns add `.2`, `.3`, ...
    """
    newest: JobRecord | None = None
    number = 1
    while True:
        record = JobRecord(storage, home, base if number == 1 else f"{base}.{number}")
        if not record.exists():
            return newest, record
        newest = record
        number += 1


def rerun_number(job: str) -> int:
    """Which of its family a job is, by its id: 1 for the first, 2 for the first that was forced.

    Example:
        >>> rerun_number("model-1.5-696200356d13"), rerun_number("model-1.5-696200356d13.2")
        (1, 2)
    """
    found = _RERUN.search(job)
    return 1 if found is None else int(found[1])
