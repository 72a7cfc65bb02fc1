"""A worker's numbers, counted in it and added up elsewhere."""

from gristmill.replica.messages import Advanced, Began, Event, PartDone
from gristmill.replica.meter import Account, Meter


def test_rows_that_are_lost_are_taken_back() -> None:
    told: list[Event] = []
    meter = Meter(told.append)
    meter.add(rows=10, errors=2, metrics={"output_tokens": 50})
    meter.add(rows=-4, errors=-1, metrics={"output_tokens": -20})
    meter.tell()
    assert told == [Advanced(6, 1, {"output_tokens": 30}, {})]


def test_it_tells_once_a_second_at_most() -> None:
    told: list[Event] = []
    meter = Meter(told.append)
    for _ in range(100):
        meter.add(rows=1)
        meter.tell_if_due()
    assert len(told) <= 1


def test_an_account_never_counts_a_row_twice() -> None:
    account = Account()
    account.apply(Advanced(30, 1, {"output_tokens": 90}, {"rows_in_flight": 4}))
    account.apply(PartDone(1, 0, 20, "a", errors=1, metrics={"output_tokens": 60}))
    assert (account.rows, account.told_rows, account.errors) == (30, 20, 1)
    assert account.ahead == {"output_tokens": 30}
    account.apply(PartDone(2, 0, 25, "b", metrics={"output_tokens": 75, "prompt_tokens": 5}))
    assert (account.rows, account.told_rows) == (45, 45)
    assert account.ahead == {"output_tokens": 0, "prompt_tokens": 0}
    account.apply(Advanced(50, 1, {"output_tokens": 150}, {}))
    account.apply(Began(3))
    assert account.rows - account.told_rows == 5
    assert account.gauges == {}
