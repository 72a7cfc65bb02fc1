"""Twenty days as a backfill: a job, a sentinel and each row once for every day, whatever is killed or repeated."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.airflow.conftest import DAGS
from tests.airflow.live.bench import DAYS
from tests.airflow.live.stillness import still
from tests.bench import generations, moment, overlap, until

import gristmill
from gristmill import JobStatus

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
DATES = [FIRST + timedelta(days=number) for number in range(20)]
ROWS_A_DAY = 4

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def daily(airflow):
    """The API of the server, which has the DAGs of `live_daily.py`."""
    airflow.add_dags(DAGS / "live_daily.py")
    return airflow.rest


@pytest.fixture
def days(bench):
    """The twenty days' rows: two shards each."""
    for number, date in enumerate(DATES):
        bench.rows(f"in/{date.strftime(DAYS)}", first=number * ROWS_A_DAY, count=ROWS_A_DAY, files=2)
    return {date.strftime(DAYS): rows_of(number) for number, date in enumerate(DATES)}


def create(airflow, dag_id, from_date, to_date, **fields):
    with still(airflow):
        return airflow.rest.backfill(dag_id, from_date, to_date, **fields)


def run_to_its_end(airflow, dag_id, from_date, to_date, **fields):
    """A backfill, until none of its runs is left. Airflow looks only every 30 seconds whether it is over."""
    backfill = create(airflow, dag_id, from_date, to_date, **fields)
    until(lambda: not going(airflow.rest, dag_id), "runs are left", seconds=600, pause=0.5)
    airflow.rest.cancel_backfill(backfill)


def going(rest, dag_id):
    return [run for run in rest.runs(dag_id) if run["state"] in ("queued", "running")]


def rows_of(number: int) -> list[int]:
    return list(range(number * ROWS_A_DAY, (number + 1) * ROWS_A_DAY))


def conf(bench, **fields):
    return {"folder": str(bench.folder), **fields}


def sentinels(bench) -> set[str]:
    return {path.parent.name for path in (bench.folder / "out").glob("*/_SUCCESS")}


def assert_every_day_is_right(bench, days):
    assert sentinels(bench) == set(days)
    for day, rows in days.items():
        assert bench.output(f"out/{day}") == rows
        assert Path(bench.job(f"out/{day}").location).name == day


def active_at_once(rest, dag_id):
    runs = rest.runs(dag_id)
    assert {run["state"] for run in runs} == {"success"}
    return overlap([(moment(run["start_date"]), moment(run["end_date"])) for run in runs])


def test_twenty_days_are_twenty_jobs_and_are_done_again_only_when_that_is_asked_for(airflow, daily, bench, days):
    run_to_its_end(airflow, "live_daily", DATES[0], DATES[-1], conf=conf(bench))
    assert_every_day_is_right(bench, days)
    assert set(bench.calls().values()) == {1}
    assert len(daily.runs("live_daily")) == len(DATES)
    assert active_at_once(daily, "live_daily") == 2
    first = {job.id for job in bench.jobs()}
    assert len(first) == len(DATES)
    assert {gristmill.get_job(job, settings=bench.settings).request.key for job in first} == {
        f"live_daily/score/{day}" for day in days
    }

    run_to_its_end(airflow, "live_daily", DATES[0], DATES[-1], reprocess="completed", conf=conf(bench))
    assert active_at_once(daily, "live_daily") <= 2
    tries = [daily.task_instance("live_daily", run["dag_run_id"], "score") for run in daily.runs("live_daily")]
    assert {one["try_number"] for one in tries} == {2}
    assert set(bench.calls().values()) == {1}
    assert {job.id for job in bench.jobs()} == first

    run_to_its_end(airflow, "live_daily", DATES[0], DATES[2], reprocess="completed", conf=conf(bench, force="true"))
    assert sentinels(bench) == set(days)
    forced = set(range(3 * ROWS_A_DAY))
    assert bench.calls() == {row: 2 if row in forced else 1 for row in range(len(DATES) * ROWS_A_DAY)}
    assert len(bench.jobs()) == len(DATES) + 3
    for day, rows in days.items():
        assert bench.output(f"out/{day}") == rows


def test_a_backfill_that_is_killed_in_the_middle_and_repeated_does_what_was_left(airflow, daily, bench, days):
    slow = conf(bench, delay=0.5)
    one = create(airflow, "live_daily_killed", DATES[0], DATES[-1], conf=slow)
    until(lambda: len(sentinels(bench)) >= 5, "no five days are done", seconds=480)
    airflow.restart("scheduler")  # with the tasks and their runners, as if the machine were lost
    done = sentinels(bench)
    daily.cancel_backfill(one)
    until(lambda: not going(daily, "live_daily_killed"), "runs go on", seconds=240)

    before = bench.calls()
    run_to_its_end(airflow, "live_daily_killed", DATES[0], DATES[-1], reprocess="failed", conf=slow)
    assert_every_day_is_right(bench, days)
    jobs = bench.jobs()
    assert len(jobs) == len(DATES)
    assert {job.status for job in jobs} == {JobStatus.DONE}
    finished = {row for day in done for row in days[day]}
    assert finished
    assert {bench.calls()[row] for row in finished} == {1}
    assert all(bench.calls()[row] - before[row] <= 1 for row in range(80))
    assert sum(generations(job) > 1 for job in jobs) <= 2  # those that were at work


@pytest.mark.parametrize(
    ("dag_id", "pool", "counts_deferred"),
    [
        ("live_daily_pooled", "live_one_at_a_time", False),
        ("live_daily_pooled_deferred", "live_one_with_deferred", True),
    ],
)
def test_a_pool_with_one_slot_holds_one_job_at_a_time(airflow, daily, bench, days, dag_id, pool, counts_deferred):
    daily.call("POST", "/pools", {"name": pool, "slots": 1, "include_deferred": counts_deferred})
    run_to_its_end(airflow, dag_id, DATES[0], DATES[3], max_active_runs=4, conf=conf(bench, delay=0.5))
    assert active_at_once(daily, dag_id) > 1  # else there was nothing for the pool to hold back
    assert sentinels(bench) == set(list(days)[:4])
    runs = [job.state() for job in bench.jobs()]
    assert overlap([(run.started, run.completed) for run in runs]) == 1
    tasks = [daily.task_instance(dag_id, run["dag_run_id"], "score") for run in daily.runs(dag_id)]
    assert overlap([(moment(task["start_date"]), moment(task["end_date"])) for task in tasks]) == 1


def test_a_partitioned_run_is_about_its_partition_key(daily, bench):
    bench.rows("in/2026-01-25", count=4, files=1)
    run_id = daily.trigger("live_partitioned", conf=conf(bench), partition_key="2026-01-25")
    daily.wait_for_run("live_partitioned", run_id)
    assert bench.output("out/2026-01-25") == [0, 1, 2, 3]
    assert bench.job().request.key == "live_partitioned/score/2026-01-25"


def test_a_backfill_of_a_partitioned_dag_has_a_job_for_each_key(airflow, daily, bench, days):
    run_to_its_end(airflow, "live_partitioned", DATES[0], DATES[1], conf=conf(bench))
    runs = daily.runs("live_partitioned", run_type="backfill")
    keys = {run["partition_key"] for run in runs}
    assert keys == {"2026-01-01", "2026-01-02"}
    assert sentinels(bench) == keys
    assert {job.request.key for job in bench.jobs()} == {f"live_partitioned/score/{key}" for key in keys}
