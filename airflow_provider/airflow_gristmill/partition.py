"""Which partition a run is about, and the key of its job: the same for every try of a task."""

from collections.abc import Mapping
from datetime import UTC, datetime, time, tzinfo
from typing import Any

from gristmill.spec.partition import path_of

__all__ = ["job_key", "partition_of", "path_of", "rerun_wish"]


def partition_of(context: Mapping[str, Any]) -> str:
    """The partition that a run is about: its partition key, else its data interval, else its run id.

    Args:
        context: Airflow's template context.

    Example:
        >>> partition_of({"partition_key": "eu|2026-01-01", "run_id": "manual__1"})
        'eu|2026-01-01'
        >>> partition_of({"partition_key": None, "run_id": "manual__1"})
        'manual__1'
    """
    key = context.get("partition_key")
    if key:
        return str(key)
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    if start is not None:
        dag = context.get("dag")
        return _interval(start, start if end is None else end, getattr(dag, "timezone", None) or UTC)
    return str(context["run_id"])


def _interval(start: datetime, end: datetime, zone: tzinfo) -> str:
    """A date for whole days in the DAG's time zone, else the start in UTC to the second, or as fine as it is."""
    first, last = start.astimezone(zone), end.astimezone(zone)
    if all(moment.time() == time(0) for moment in (first, last)):
        return first.strftime("%Y-%m-%d")
    exact = start.astimezone(UTC)
    return exact.strftime("%Y-%m-%dT%H%M%S") + (f".{exact.microsecond:06d}" if exact.microsecond else "") + "Z"


def job_key(*, dag_id: str, task_id: str, partition: str, map_index: int = -1) -> str:
    """Who asks for a job: the same in every try.

    Example:
        >>> job_key(dag_id="nightly", task_id="score", partition="2026-01-01", map_index=3)
        'nightly/score/2026-01-01/3'
    """
    return "/".join((dag_id, task_id, partition, *([str(map_index)] if map_index >= 0 else [])))


def rerun_wish(*, run_id: str, max_tries: int) -> str:
    """What names the wish of a forced rerun: a retry has the same, and each Clear another, since it adds tries.

    Example:
        >>> rerun_wish(run_id="scheduled__2026-01-01", max_tries=2)
        'scheduled__2026-01-01 up to try 2'
    """
    return f"{run_id} up to try {max_tries}"
