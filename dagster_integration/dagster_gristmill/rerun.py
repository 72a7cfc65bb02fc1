"""Whether a run asks for what is done to be done again, and what names that wish."""

from collections.abc import Callable, Mapping

import dagster as dg

from gristmill.declared import read_flag

__all__ = ["FORCE_TAG", "forced_by", "rerun_wish"]

FORCE_TAG = "gristmill/force_rerun"
"""The tag of a run, or of a backfill, that asks for it."""


def forced_by(tags: Mapping[str, str]) -> bool:
    """Whether a run's tags ask for a forced rerun.

    Raises:
        SpecError: the tag is neither yes nor no.

    Example:
        >>> forced_by({"gristmill/force_rerun": "true"}), forced_by({})
        (True, False)
    """
    return read_flag(f"tag {FORCE_TAG}", tags.get(FORCE_TAG, ""))


def rerun_wish(run: dg.DagsterRun, find: Callable[[str], dg.DagsterRun | None]) -> str:
    """What names the wish of a forced rerun: the first of the runs of which this one is a retry.

    A run that is executed again after it has succeeded is another wish.

    Args:
        run: the run.
        find: gives a run by its id.
    """
    while run.parent_run_id is not None:
        parent = find(run.parent_run_id)
        if parent is None or parent.status is dg.DagsterRunStatus.SUCCESS:
            break
        run = parent
    return f"run {run.run_id}"
