"""How many rows of a suspected task are run at a time."""

from gristmill.replica.messages import Task

__all__ = ["careful_rows"]

_CUTS = 16
_ROWS = 256


def careful_rows(task: Task) -> int:
    """A sixteenth of a careful task's rows: whichever kills is among that many the next time.

    Where the task's end is not known it is 256: as many as a worker reads at a time for a model that runs rows.

    Example:
        >>> from gristmill.plan.shards import Shard
        >>> careful_rows(Task(0, Shard(0, ()), 0, 160, careful=True))
        10
    """
    return _ROWS if task.rows is None else max(1, task.rows // _CUTS)
