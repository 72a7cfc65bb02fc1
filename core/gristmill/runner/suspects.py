"""After a worker's death: which rows to run again, and how, until the one that kills is found.

A death may have any cause, and most are no row's fault, so after the first all is run again as it was, as fast as
ever. A task that dies a second time becomes *careful*: it is run alone, each call to the model announced before it is
made. When a careful task dies too, the announced rows are the suspects; they are cut into sixteen calls the next time,
and so on down to one row. A row that dies alone twice is convicted: it is recorded as failed and never run again. A
thousand rows take six deaths, a million eight.

A partition is run by one call, so it is announced by itself, and takes the part of a row.
"""

from dataclasses import replace

from gristmill.replica.messages import Task
from gristmill.spec.row_error import RowError

__all__ = ["after_death"]

_ALONE = 2


def after_death(
    task: Task, *, announced: tuple[int, int] | None, reason: str, is_partition: bool = False
) -> list[Task]:
    """The tasks that replace one whose worker has died, in the order of their rows; their ids are the old one's.

    A row that kills alone is followed by the far half of what comes after it, and then by the near one.

    Args:
        task: what the worker was doing.
        announced: the rows [start, stop) that it said it would run, if the task was careful.
        reason: how the worker died.
        is_partition: whether those rows are one partition, and the task is whole ones.
    """
    if not task.careful or announced is None:
        return [replace(task, is_rerun=True, careful=task.is_rerun)]
    first, last = announced
    pieces = []
    if first > task.start:
        pieces.append(replace(task, stop=first, careful=False, deaths=0))
    is_known = (task.start, task.stop) == (first, last)
    is_one = is_partition or last - first == 1
    deaths = (task.deaths if is_known else 0) + 1 if is_one else 0
    suspect = replace(task, start=first, stop=last, careful=True, deaths=deaths)
    if deaths >= _ALONE:
        message = f"the worker died each time it ran this {'partition' if is_partition else 'row'}: {reason}"
        suspect = replace(suspect, verdict=RowError("WorkerDied", message, "infer"), careful=False)
    pieces.append(suspect)
    end = task.shard.rows if task.stop is None else task.stop
    after = replace(task, start=last, careful=False, deaths=0)
    if end is None or last < end:
        pieces += [after] if end is None or is_partition or not is_one else _far_half_first(after, end)
    return pieces


def _far_half_first(task: Task, end: int) -> list[Task]:
    """The rows after one that kills: bad ones often stand together, and the far ones tell them from a bad engine."""
    middle = (task.start + end) // 2
    if middle == task.start:
        return [task]
    return [replace(task, start=middle), replace(task, stop=middle)]
