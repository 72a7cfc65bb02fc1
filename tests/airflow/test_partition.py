"""Partitions: which one a run is about, how it stands in paths, and the key it gives."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_gristmill.partition import job_key, partition_of, path_of, rerun_wish

ZURICH = ZoneInfo("Europe/Zurich")
DAY = timedelta(days=1)


def interval(start: datetime, length: timedelta = DAY, zone: Any = UTC, **more: Any) -> dict[str, Any]:
    return {
        "data_interval_start": start,
        "data_interval_end": start + length,
        "dag": SimpleNamespace(timezone=zone),
        "run_id": "scheduled__x",
        **more,
    }


def test_the_partition_key_comes_before_the_data_interval_and_that_before_the_run_id():
    whole = interval(datetime(2026, 1, 1, tzinfo=UTC), partition_key="eu|2026-01-01")
    assert partition_of(whole) == "eu|2026-01-01"
    assert partition_of({**whole, "partition_key": None}) == "2026-01-01"
    assert partition_of({"run_id": "manual__2026", "partition_key": None}) == "manual__2026"
    assert partition_of({"run_id": "manual__2026", "data_interval_start": None}) == "manual__2026"


INTERVALS = [
    (datetime(2026, 1, 1, tzinfo=UTC), DAY, UTC, "2026-01-01"),
    (datetime(2026, 1, 1, tzinfo=UTC), timedelta(0), UTC, "2026-01-01"),
    (datetime(2025, 12, 31, 23, tzinfo=UTC), DAY, ZURICH, "2026-01-01"),
    (datetime(2026, 1, 1, tzinfo=UTC), timedelta(hours=1), UTC, "2026-01-01T000000Z"),
    (datetime(2026, 1, 1, 7, 30, tzinfo=UTC), timedelta(hours=1), ZURICH, "2026-01-01T073000Z"),
    (datetime(2026, 1, 1, 7, 30, 0, 25, tzinfo=UTC), timedelta(0), UTC, "2026-01-01T073000.000025Z"),
]


@pytest.mark.parametrize(("start", "length", "zone", "partition"), INTERVALS)
def test_whole_days_are_dates_in_the_dags_own_time_zone_and_the_rest_is_utc(start, length, zone, partition):
    assert partition_of(interval(start, length, zone)) == partition


def test_the_two_hours_of_one_name_when_summer_ends_are_two_partitions():
    hours = [datetime(2026, 10, 25, hour, tzinfo=UTC) for hour in (0, 1)]
    assert {hour.astimezone(ZURICH).hour for hour in hours} == {2}
    assert len({partition_of(interval(hour, timedelta(hours=1), ZURICH)) for hour in hours}) == 2


@given(st.text(min_size=1), st.text(min_size=1))
def test_partitions_are_one_plain_segment_each_and_no_two_become_one(first, second):
    try:
        paths = path_of(first), path_of(second)
    except UnicodeEncodeError:  # a lone surrogate is no text
        return
    assert (paths[0] == paths[1]) is (first == second)
    for path in paths:
        assert "/" not in path
        assert not path.startswith((".", "_"))
        assert not set(path) & set("*?[]\\\0\n")


@pytest.mark.parametrize(
    "partition", ["2026-01-01", "2026-01-01T073000Z", "manual__2026-01-01T00:00:00+00:00_x", "eu|1"]
)
def test_common_partitions_stand_in_paths_as_they_are(partition):
    assert path_of(partition) == partition


def test_a_key_has_no_try_and_tells_mapped_tasks_apart():
    same = {"dag_id": "nightly", "task_id": "score", "partition": "2026-01-01"}
    assert job_key(**same) == "nightly/score/2026-01-01"
    assert job_key(**same, map_index=0) == "nightly/score/2026-01-01/0"


def test_a_wish_is_the_same_for_each_retry_and_another_after_a_clear():
    # a Clear adds the retries to the tries so far; a retry changes nothing
    assert rerun_wish(run_id="r", max_tries=2) != rerun_wish(run_id="r", max_tries=3)
