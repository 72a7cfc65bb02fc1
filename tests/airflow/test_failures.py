"""Which errors the next try would meet again."""

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException

from airflow_gristmill.failures import no_retry_in_vain
from gristmill.errors import ConflictError, FailedRowsError, MissingExtraError, OutputExistsError, SpecError


@pytest.mark.parametrize("kind", [FailedRowsError, MissingExtraError, OutputExistsError, SpecError])
def test_what_the_next_try_would_meet_again_is_not_tried_again(kind: type[Exception]) -> None:
    with pytest.raises(AirflowFailException, match="told"), no_retry_in_vain():
        raise kind("told")


def test_a_connection_that_is_not_there_may_be_there_for_the_next_try() -> None:
    with pytest.raises(SpecError, match="is not defined"), no_retry_in_vain():
        raise SpecError("connection 'lab' is not defined") from AirflowNotFoundException("as Airflow says")


@pytest.mark.parametrize("kind", [ConflictError, OSError, ValueError])
def test_other_errors_pass_as_they_are(kind: type[Exception]) -> None:
    with pytest.raises(kind, match="told"), no_retry_in_vain():
        raise kind("told")
