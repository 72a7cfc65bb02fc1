"""Gristmill's errors as Airflow takes them: what no retry can mend fails at once."""

import contextlib
from collections.abc import Iterator

from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException

from gristmill.errors import FailedRowsError, GristmillError, MissingExtraError, OutputExistsError, SpecError

__all__ = ["lacks_connection", "may_pass_later", "no_retry_in_vain"]


@contextlib.contextmanager
def no_retry_in_vain() -> Iterator[None]:
    """Raise what the next try would meet again as a failure that is not tried again.

    That is a wrong request, an output that stands in the way, a package that is not installed, and an output with too
    many failed rows. All other errors pass: the next try attaches to the job, or resumes it. So does a connection that
    is not there.
    """
    try:
        yield
    except (FailedRowsError, MissingExtraError, OutputExistsError, SpecError) as error:
        if lacks_connection(error):
            raise
        raise AirflowFailException(str(error)) from error


def may_pass_later(error: Exception) -> bool:
    """Whether a wait should go on though settings or record cannot be read now: each storage has errors of its own."""
    return lacks_connection(error) or not isinstance(error, GristmillError)


def lacks_connection(error: Exception) -> bool:
    """Whether a connection is not there: what Airflow says, too, while it cannot ask for one, so that it may pass."""
    return isinstance(error.__cause__, AirflowNotFoundException)
