"""When errors end a job."""

import pytest

from gristmill.runner.tally import ErrorPolicy, Tally
from gristmill.spec.enums import OnError
from gristmill.spec.row_error import RowError

BAD = RowError("FileNotFoundError", "no such file", "resolve", "/data/cat.png")


def tally(policy: ErrorPolicy, *, rows: int, errors: int, total: int | None = None) -> Tally:
    found = Tally(policy, total)
    found.add(rows=rows, errors=errors, shard=0, samples=[(index, BAD) for index in range(min(errors, 5))])
    return found


def test_fail_goes_on_up_to_a_hundred_errors_and_then_stops() -> None:
    policy = ErrorPolicy(OnError.FAIL)
    assert tally(policy, rows=1_000, errors=100).stop_reason() is None
    assert "max_errors=100" in str(tally(policy, rows=1_000, errors=101).stop_reason())


def test_fail_with_one_error_fails_at_the_end_and_names_the_row() -> None:
    reason = tally(ErrorPolicy(OnError.FAIL), rows=1_000, errors=1).final_reason()
    assert "1 of 1,000 rows failed" in str(reason)
    assert "/data/cat.png" in str(reason)
    assert 'on_error="record"' in str(reason)


def test_record_has_no_limit_unless_it_is_given_one() -> None:
    assert tally(ErrorPolicy(OnError.RECORD), rows=1_000, errors=1_000).final_reason() is None
    assert tally(ErrorPolicy(OnError.RECORD, max_errors=10), rows=1_000, errors=11).stop_reason() is not None


def test_no_errors_at_all_are_allowed_with_max_errors_0() -> None:
    policy = ErrorPolicy(OnError.RECORD, max_errors=0)
    assert tally(policy, rows=10, errors=0).final_reason() is None
    assert tally(policy, rows=10, errors=1).stop_reason() is not None


@pytest.mark.parametrize(("errors", "stops"), [(10, False), (11, True)])
def test_a_rate_stops_the_job_once_the_outcome_is_certain(errors: int, stops: bool) -> None:
    policy = ErrorPolicy(OnError.RECORD, max_error_rate=0.1)
    assert (tally(policy, rows=20, errors=errors, total=100).stop_reason() is not None) is stops


def test_a_rate_over_an_unknown_number_of_rows_is_judged_at_the_end() -> None:
    policy = ErrorPolicy(OnError.RECORD, max_error_rate=0.1)
    assert tally(policy, rows=100, errors=50).stop_reason() is None
    assert "max_error_rate=0.1" in str(tally(policy, rows=100, errors=50).final_reason())
    assert tally(policy, rows=100, errors=10).final_reason() is None


def test_failures_of_partitions_are_counted_of_partitions() -> None:
    policy = ErrorPolicy(OnError.RECORD, max_error_rate=0.5)
    tally = Tally(policy, rows_total=1_000, noun="partition", tried_total=4)
    tally.add(rows=900, errors=2, shard=0, tried=3)
    assert tally.stop_reason() is None
    assert (tally.final_reason() or "").startswith("2 of 3 partitions failed, more than max_error_rate=0.5")
    tally.add(rows=100, errors=1, shard=1, tried=1)
    assert (tally.stop_reason() or "").startswith(
        "stopped: 3 partitions failed, more than max_error_rate=0.5 of 4 part"
    )
