"""The live server does what the tests that use it take for granted."""

import pytest
from tests.airflow.conftest import DAGS


@pytest.fixture(scope="module")
def rest(airflow):
    airflow.add_dags(DAGS / "harness_live.py")
    return airflow.rest


def test_what_tasks_leave_behind_is_read_over_the_api(rest):
    run_id = rest.trigger("harness_steps")
    rest.wait_for_run("harness_steps", run_id)

    assert {(one["task_id"], one["map_index"]) for one in rest.task_instances("harness_steps", run_id)} == {
        ("wait", -1),
        ("say", 0),
        ("say", 1),
    }
    assert rest.xcom("harness_steps", run_id, "say", map_index=1) == "bb"
    assert "the word is b" in rest.log("harness_steps", run_id, "say", map_index=1)
    assert {event["source_map_index"] for event in rest.asset_events(source_run_id=run_id)} == {0, 1}


def test_a_killed_task_process_ends_its_try_and_a_cleared_task_runs_again(airflow, rest):
    rest.set_variable("harness_word", "before")
    run_id = rest.trigger("harness_slow")
    first = rest.wait_for_task("harness_slow", run_id, "work", "running")
    airflow.task_process(first).kill()
    rest.wait_for_run("harness_slow", run_id)
    assert rest.task_instance("harness_slow", run_id, "work")["try_number"] == 2
    assert rest.xcom("harness_slow", run_id, "work") == "before"

    rest.set_variable("harness_word", "after")
    rest.clear("harness_slow", run_id, "work")
    rest.wait_for_task("harness_slow", run_id, "work", "success", try_number=3)
    assert rest.xcom("harness_slow", run_id, "work") == "after"


def test_a_task_that_is_marked_failed_loses_its_process(airflow, rest):
    run_id = rest.trigger("harness_slow")
    process = airflow.task_process(rest.wait_for_task("harness_slow", run_id, "work", "running"))
    rest.mark("harness_slow", run_id, "work", "failed")
    process.wait(60)
    rest.wait_for_run("harness_slow", run_id, expect="failed")


def test_a_deferred_task_is_resumed_though_its_triggerer_is_killed(airflow, rest):
    run_id = rest.trigger("harness_deferred")
    rest.wait_for_task("harness_deferred", run_id, "wait", "deferred")
    before = airflow.component("triggerer").pid
    airflow.restart("triggerer")
    assert airflow.component("triggerer").pid != before
    rest.wait_for_run("harness_deferred", run_id)
