"""Gristmill's errors as Airflow takes them: what no retry can mend fails at once."""

import contextlib
from collections.abc import Iterator

from airflow.sdk.exceptions import AirflowFailException

from gristmill.errors import FailedRowsError, SpecError

__all__ = ["no_retry_in_vain"]


@contextlib.contextmanager
def no_retry_in_vain() -> Iterator[None]:
    """Raise a wrong request, and an output with too many failed rows, as failures that are not tried again.

    All other errors pass: the next try attaches to the job, or resumes it.
    """
    try:
        yield
    except (FailedRowsError, SpecError) as error:
        raise AirflowFailException(str(error)) from error
