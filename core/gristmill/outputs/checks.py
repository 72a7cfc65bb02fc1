"""`OutputChecks`: what is asked of a finished output, by whoever builds on it.

It imports little: orchestrators construct checks while they load their definitions.
"""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field, field_validator

from gristmill.spec.base import Spec

__all__ = ["OutputChecks"]


class OutputChecks(Spec):
    """What is asked of a finished output. See `gristmill.outputs.examine` for what each of the checks reads.

    Attributes:
        complete: rows in are rows out, every file is there with its size, and the files' own counts of their rows add
            up to the manifest's.
        max_error_rate: at most this share of the rows failed, or of the partitions for methods over those, 0 to 1; 0
            takes no failure. None asks nothing.
        no_nulls: among the rows that did not fail, no null in what the model made: True for all of its columns, names
            for those alone, False for none.
        fresh_within: the output was finished no longer ago than this: a `timedelta`, seconds, or ISO text (`P1D`).
        blocking: whether what builds on the output waits for these checks, and does not run when one fails.

    Raises:
        SpecError: a value is wrong; the message names it.

    Example:
        >>> OutputChecks(fresh_within="PT26H", max_error_rate=0.01).names
        ('complete', 'error_rate', 'no_nulls', 'fresh')
        >>> OutputChecks(no_nulls=["label"], complete=False, max_error_rate=None).names
        ('no_nulls',)
    """

    complete: bool = True
    max_error_rate: Annotated[float, Field(ge=0, le=1)] | None = 0.0
    no_nulls: bool | tuple[str, ...] = True
    fresh_within: Annotated[timedelta, Field(gt=timedelta(0))] | None = None
    blocking: bool = False

    @field_validator("no_nulls", mode="before")
    @classmethod
    def _columns(cls, value: Any) -> Any:
        if isinstance(value, bool):
            return value
        if not isinstance(value, list | tuple) or not all(isinstance(name, str) and name for name in value):
            raise ValueError("is neither true (all columns that the model made), false, nor a list of columns")
        if not value:
            raise ValueError("names no column; give true for all that the model made, false for none")
        return tuple(dict.fromkeys(value))

    @property
    def names(self) -> tuple[str, ...]:
        """The checks that are asked for, always in this order."""
        asked = {
            "complete": self.complete,
            "error_rate": self.max_error_rate is not None,
            "no_nulls": self.no_nulls is not False,
            "fresh": self.fresh_within is not None,
        }
        return tuple(name for name, wanted in asked.items() if wanted)
