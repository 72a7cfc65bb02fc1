"""Throughput over a run's time: few points, whatever its length, and what they say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.runner.pace import Pace, mean_rate, stretches

GAPS = st.lists(st.tuples(st.floats(0, 100), st.integers(0, 1_000)), max_size=400)


@given(GAPS)
def test_points_are_few_in_order_and_the_first_and_newest_are_kept(gaps: list[tuple[float, int]]) -> None:
    pace, seconds, rows = Pace(), 0.0, 0
    for gap, more in [(0.0, 0), *gaps]:
        seconds, rows = seconds + gap, rows + more
        pace.add(seconds, rows)
    assert len(pace.points) <= 120
    assert pace.points == sorted(pace.points)
    assert pace.points[0] == (0.0, 0)
    assert pace.points[-1] == (round(seconds, 3), rows)


def test_points_of_a_long_run_are_spread_over_all_of_it() -> None:
    pace = Pace()
    for beat in range(50_000):
        pace.add(2.0 * beat, beat)
    gaps = [after - before for (before, _), (after, _) in zip(pace.points, pace.points[1:], strict=False)]
    assert 60 <= len(pace.points) <= 120
    assert max(gaps) <= 3 * 100_000 / len(pace.points)
    assert min(gaps[:-1]) > 0.3 * 100_000 / len(pace.points)


def test_a_clock_that_goes_back_breaks_nothing() -> None:
    pace = Pace()
    for seconds in (0.0, 5.0, 3.0):
        pace.add(seconds, int(seconds))
    assert pace.points == [(0.0, 0), (5.0, 5), (5.0, 3)]
    assert [stretch.rate for stretch in stretches(pace.points)] == [1.0, 0.2]


@given(GAPS)
def test_stretches_cover_the_run_and_add_up_to_its_rows(gaps: list[tuple[float, int]]) -> None:
    pace, seconds, rows = Pace(), 0.0, 0
    for gap, more in [(0.0, 0), (1.0, 0), *gaps]:
        seconds, rows = seconds + gap, rows + more
        pace.add(seconds, rows)
    found = stretches(pace.points, most=20)
    assert 1 <= len(found) <= 20
    assert (found[0].start, found[-1].stop) == (0.0, pace.points[-1][0])
    total = sum(stretch.rate * (stretch.stop - stretch.start) for stretch in found)
    assert total == pytest.approx(rows, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("points", [[], [(0.0, 5)], [(1.0, 0), (1.0, 5)]])
def test_a_run_of_no_length_has_no_rate(points: list[tuple[float, int]]) -> None:
    assert stretches(points) == []
    assert mean_rate(points) is None


def test_rows_lost_with_a_worker_are_no_negative_rate() -> None:
    points = [(0.0, 0), (1.0, 50), (2.0, 20), (3.0, 60)]
    assert [stretch.rate for stretch in stretches(points)] == [50, 0, 40]


def test_the_mean_leaves_out_earlier_runs_and_loading() -> None:
    assert mean_rate([(0.0, 1_000), (60.0, 1_000), (70.0, 1_200)], ready=60.0) == 20
    assert mean_rate([(0.0, 1_000), (60.0, 1_000)], ready=60.0) is None
