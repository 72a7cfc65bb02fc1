"""A task that is mapped over locations: each instance is a job of its own, with asset events of its own."""

import pytest
from tests.airflow.conftest import DAGS
from tests.bench import generations, runner_of, until
from tests.processes import kill_all

from gristmill import JobStatus

DAG_ID = "live_mapped"
COUNT = 3
ROWS = 6


@pytest.fixture(scope="module")
def mapped(airflow):
    """The API of the server, which has the DAG of `live_mapped.py`."""
    airflow.add_dags(DAGS / "live_mapped.py")
    return airflow.rest


@pytest.fixture
def locations(bench):
    """Three folders of six rows; row 0, which the engine fails on, is in the first."""
    return [str(bench.rows(f"in/{at}", first=at * ROWS, count=ROWS, files=2)) for at in range(COUNT)]


def summaries(rest, run_id):
    return [rest.xcom(DAG_ID, run_id, "score", map_index=at) for at in range(COUNT)]


def test_each_instance_is_a_job_with_a_summary_and_an_event_for_each_of_its_outlets(mapped, bench, locations):
    run_id = mapped.trigger(DAG_ID, conf={"folder": str(bench.folder), "locations": locations})
    mapped.wait_for_run(DAG_ID, run_id)

    told = summaries(mapped, run_id)
    assert {job.id for job in bench.jobs()} == {one["job"] for one in told}
    assert len({one["location"] for one in told}) == COUNT
    assert {job.request.key for job in bench.jobs()} == {f"{DAG_ID}/score/{run_id}/{at}" for at in range(COUNT)}
    assert [one["errors"] for one in told] == [1, 0, 0]
    for at, one in enumerate(told):
        name = one["location"].removeprefix(f"{bench.folder}/")
        assert bench.output(name) == [row or None for row in range(at * ROWS, (at + 1) * ROWS)]

    events = mapped.asset_events(source_run_id=run_id)
    assert len(events) == 2 * COUNT
    for at, one in enumerate(told):
        mine = [event for event in events if event["source_map_index"] == at]
        assert {event["uri"] for event in mine} == {"live_scores", f"file://{one['location']}"}
        for event in mine:
            extra = {name: event["extra"][name] for name in ("location", "job", "rows", "errors", "tokens")}
            assert extra == {name: one[name] for name in extra}
            assert extra["rows"] == ROWS
            assert extra["tokens"]


def test_an_instance_that_is_tried_again_touches_no_job_but_its_own(airflow, mapped, bench, locations):
    run_id = mapped.trigger(DAG_ID, conf={"folder": str(bench.folder), "locations": locations, "delay": 3})
    mapped.wait_for_task(DAG_ID, run_id, "score", "deferred", map_index=1)
    job = until(lambda: next((one for one in bench.jobs() if one.request.key.endswith("/1")), None), "there is no job")
    until(lambda: {ROWS, ROWS + 1} <= bench.calls().keys(), "it computes nothing")
    kill_all(runner_of(job))
    mapped.wait_for_run(DAG_ID, run_id)

    tries = [mapped.task_instance(DAG_ID, run_id, "score", map_index=at)["try_number"] for at in range(COUNT)]
    assert tries == [1, 2, 1]
    assert len(bench.jobs()) == COUNT
    runs = {int(one.request.key.rpartition("/")[2]): generations(one) for one in bench.jobs()}
    assert runs == {0: 1, 1: 2, 2: 1}
    assert {one.status for one in bench.jobs()} == {JobStatus.DONE}
    others = {row: count for row, count in bench.calls().items() if row // ROWS != 1}
    assert set(others.values()) == {1}
    assert max(bench.calls().values()) <= 2
