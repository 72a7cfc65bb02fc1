"""Clear of a finished task: nothing is done again, unless the request has changed or that is asked for."""

import pytest
from tests.airflow.conftest import DAGS
from tests.bench import until

ROWS = list(range(40))
DAG_ID = "live_cleared"


@pytest.fixture(scope="module")
def cleared(airflow):
    """The API of the server, which has the DAG of `live_cleared.py`; its request comes from variables."""
    airflow.add_dags(DAGS / "live_cleared.py")
    return airflow.rest


@pytest.fixture
def done(request, cleared, bench):
    """A run whose task has succeeded; each of its job's four calls takes half a second, or as a test says."""
    cleared.set_variable("live_column", "id")
    cleared.set_variable("live_force", "")
    run_id = cleared.trigger(DAG_ID, conf=bench.conf(delay=getattr(request, "param", 0.5)))
    cleared.wait_for_run(DAG_ID, run_id)
    assert bench.output() == ROWS
    return run_id


def clear(rest, run_id, *, tries):
    rest.clear(DAG_ID, run_id, "score")
    rest.wait_for_task(DAG_ID, run_id, "score", "success", try_number=tries)
    return rest.xcom(DAG_ID, run_id, "score")


def test_a_task_that_is_cleared_returns_what_it_has_and_computes_nothing(cleared, bench, done):
    first = cleared.xcom(DAG_ID, done, "score")
    assert clear(cleared, done, tries=2) == first
    assert bench.job().id == first["job"]
    assert set(bench.calls().values()) == {1}


def test_a_task_that_is_cleared_with_another_request_runs_it_as_a_new_job(cleared, bench, done):
    first = cleared.xcom(DAG_ID, done, "score")
    cleared.set_variable("live_column", "")
    second = clear(cleared, done, tries=2)
    assert second["job"] != first["job"]
    assert {job.id for job in bench.jobs()} == {first["job"], second["job"]}
    assert bench.output() == [f'{{"id": {row}}}' for row in ROWS]


@pytest.mark.parametrize("done", [2], indirect=True, ids=["slow"])  # its job is at work when its try is killed
def test_a_forced_rerun_computes_all_once_more_though_its_try_is_killed(airflow, cleared, bench, done):
    first = cleared.xcom(DAG_ID, done, "score")
    cleared.set_variable("live_force", "yes")
    cleared.clear(DAG_ID, done, "score")
    task = cleared.wait_for_task(DAG_ID, done, "score", "running", try_number=2)
    until(lambda: sum(bench.calls().values()) > len(ROWS), "nothing is computed again")
    airflow.task_process(task).kill()
    cleared.wait_for_task(DAG_ID, done, "score", "success", try_number=3)
    forced = cleared.xcom(DAG_ID, done, "score")
    assert forced["job"] != first["job"]
    assert len(bench.jobs()) == 2
    assert bench.calls() == dict.fromkeys(ROWS, 2)

    again = clear(cleared, done, tries=4)
    assert again["job"] not in (first["job"], forced["job"])
    assert bench.calls() == dict.fromkeys(ROWS, 3)
    assert bench.output() == ROWS
