"""How much memory one partition may take."""

import os
from pathlib import Path

from gristmill.settings import Settings
from gristmill.spec.job import JobSpec

__all__ = ["machine_memory", "most_partition_bytes"]

_CGROUP = Path("/sys/fs/cgroup/memory.max")

_SHARE = 4
"""A worker holds a partition as it was read, as the function's frame has it, and its results."""


def machine_memory() -> int:
    """Bytes of memory of this machine, or of this container where that has less.

    Example:
        >>> machine_memory() > 2**20
        True
    """
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = _CGROUP.read_text(encoding="ascii").strip()
    except OSError:
        return whole
    return min(whole, int(limit)) if limit.isdecimal() else whole


def most_partition_bytes(settings: Settings, how: JobSpec) -> int:
    """Bytes of one partition at most: the setting, or a quarter of a worker's memory.

    A worker's memory is its share of `memory_requests`, or of this machine where the job asks for none.
    """
    if settings.max_partition_bytes is not None:
        return settings.max_partition_bytes
    if how.memory_requests is not None:
        return max(1, how.memory_requests // how.num_workers // _SHARE)
    return max(1, machine_memory() // (how.replicas * how.num_workers) // _SHARE)
