"""A row's failure, as data."""

from dataclasses import dataclass
from typing import Literal, Self

__all__ = ["ERROR_COLUMN", "RowError", "Step"]

ERROR_COLUMN = "_error"
"""The output column that holds a failed row's error when `on_error="record"`."""

Step = Literal["read", "resolve", "infer", "output"]
"""Where a row failed: reading it, fetching its files, running the model, or fitting its result to the output."""

_LIMIT = 2_000


@dataclass(frozen=True, slots=True)
class RowError:
    """Why one row has no result.

    Attributes:
        type: the exception's class name, such as `FileNotFoundError`.
        message: what happened, at most 2,000 characters.
        step: where it happened.
        reference: what the row points at: a file's path, a column's name; None where nothing narrower is known.
    """

    type: str
    message: str
    step: Step
    reference: str | None = None

    @classmethod
    def of(cls, error: BaseException, *, step: Step, reference: str | None = None) -> Self:
        """The row error for an exception."""
        message = (str(error) or repr(error))[:_LIMIT]
        return cls(type(error).__name__, _writable(message), step, None if reference is None else _writable(reference))


def _writable(text: str) -> str:
    """The text as UTF-8 can hold it: names of files may have bytes that are no text."""
    return text.encode("utf-8", "replace").decode()
