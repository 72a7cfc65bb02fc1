"""Gristmill's errors as Dagster takes them: what no retry can mend fails at once."""

from collections.abc import Mapping

import dagster as dg

from gristmill.errors import EmptyInputError, FailedRowsError, MissingExtraError, OutputExistsError, SpecError
from gristmill.wording.text import count

__all__ = ["as_failure", "failure_of_partitions"]

_IN_VAIN = (FailedRowsError, MissingExtraError, OutputExistsError, SpecError)
_TOLD = 20
"""At most this many partitions stand in an error, each with what it failed of."""


def as_failure(error: Exception) -> dg.Failure:
    """The failure of a step.

    A wrong request, an output that stands in the way, a package that is not installed, and an output with too many
    failed rows are not tried again. All else is: the next try attaches to the job, or resumes it.
    """
    return dg.Failure(_told(error), allow_retries=not isinstance(error, _IN_VAIN))


def failure_of_partitions(failed: Mapping[str, Exception], *, done: int) -> dg.Failure:
    """The failure of a run of several partitions, of which the others are recorded.

    Args:
        failed: what each of them failed of.
        done: how many others there are.
    """
    keys = sorted(failed)
    told = "\n".join(f"{key}: {_told(failed[key])}" for key in keys[:_TOLD])
    more = "" if len(keys) <= _TOLD else f"\nand {count(len(keys) - _TOLD)} more"
    return dg.Failure(
        f"{count(len(failed), 'partition')} of {count(len(failed) + done)} failed; the others are recorded, and are "
        f"not computed again by a rerun.\n{told}{more}",
        metadata={"failed_partitions": dg.MetadataValue.json(keys[:1_000])},
        allow_retries=any(not isinstance(error, _IN_VAIN) for error in failed.values()),
    )


def _told(error: Exception) -> str:
    kind = "" if isinstance(error, (*_IN_VAIN, EmptyInputError)) else f"{type(error).__name__}: "
    return f"{kind}{error}"
