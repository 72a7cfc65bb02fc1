"""Watching for a sentinel: what is said, and which sentinel is news."""

from gristmill.outputs.condition import SentinelCondition
from gristmill.outputs.sighting import Sighting
from gristmill.outputs.watch import SentinelWatch

NOTHING = Sighting("/out")
FOREIGN = Sighting("/out", exists=True, flaw="empty", version="1:0")


def test_a_reason_is_said_when_it_changes_and_now_and_then() -> None:
    watch = SentinelWatch(SentinelCondition(min_rows=1), say_every=600)
    said = []
    for now, sighting in [(0, NOTHING), (60, NOTHING), (120, FOREIGN), (180, FOREIGN), (719, FOREIGN), (720, FOREIGN)]:
        watch = watch.after(sighting, now=now)
        said.append(watch.due)
    none, foreign = (
        "/out: waiting, no _SUCCESS yet",
        "/out: waiting, its _SUCCESS is empty, so nothing is known of min_rows",
    )
    assert said == [none, None, foreign, None, None, foreign]
    assert not watch.is_met


def test_what_is_waited_for_is_said_without_waiting() -> None:
    watch = SentinelWatch(SentinelCondition())
    assert not watch.is_met
    watch = watch.after(FOREIGN, now=0)
    assert (watch.is_met, watch.due) == (True, "/out: there is a _SUCCESS, empty")


def test_a_sentinel_is_news_once() -> None:
    watch = SentinelWatch(SentinelCondition())
    assert not watch.after(NOTHING, now=0).is_news({None})
    watch = watch.after(FOREIGN, now=0)
    assert watch.is_news({None})
    assert not watch.is_news({FOREIGN.identity})
    other = Sighting("/out", exists=True, flaw="empty", version="2:0")
    assert watch.after(other, now=1).is_news({FOREIGN.identity})


def test_a_sentinel_that_does_not_meet_the_condition_is_no_news() -> None:
    assert not SentinelWatch(SentinelCondition(min_rows=1)).after(FOREIGN, now=0).is_news({None})
