"""The live server does what the tests that use it take for granted."""

import pytest
from tests.bench import until
from tests.dagster.dev import Dev
from tests.guarded import lives


@pytest.fixture
def slow(dagster, graphql):
    """A run of an asset that ends only when it is told to, once its step is at work."""
    started = dagster.data / "harness-started"
    started.unlink(missing_ok=True)
    run_id = graphql.launch("harness_slow")
    until(started.exists, "the step does not start")
    return run_id


def test_what_a_run_leaves_behind_is_read_over_the_api(graphql):
    run_id = graphql.launch("harness_days", partition="three", tags={"who": "harness"})
    run = graphql.wait_for_run(run_id)
    assert run["tags"]["dagster/partition"] == "three"
    assert graphql.runs(who="harness") == [run]
    found = graphql.latest("harness_days", partition="three")
    assert (found["runId"], found["metadata"]) == (run_id, {"day": "three", "letters": 5})
    assert graphql.partition_counts("harness_days")["numMaterialized"] == 1
    assert "the day is three" in graphql.printed(run_id)
    assert [event["eventType"] for event in graphql.events(run_id)].count("ASSET_MATERIALIZATION") == 1


def test_a_check_is_run_alone(graphql):
    run_id = graphql.launch(checks=[("harness_slow", "harness_check")])
    graphql.wait_for_run(run_id)
    found = graphql.checks("harness_slow")["harness_check"]
    assert (found["runId"], found["status"]) == (run_id, "SUCCEEDED")
    assert found["evaluation"]["metadata"] == {"why": "it must"}


def test_a_sensor_ticks_while_it_is_on(graphql):
    graphql.start_sensor("harness_sensor")
    tick = graphql.wait_for_tick("harness_sensor", after=0)
    assert (tick["status"], tick["skipReason"]) == ("SKIPPED", "nothing is new")
    graphql.stop_sensor("harness_sensor")


def test_a_terminated_run_is_canceled_and_its_step_is_gone(dagster, graphql, slow):
    step = dagster.step_process(slow)
    graphql.terminate(slow)
    graphql.wait_for_run(slow, expect="CANCELED")
    until(lambda: not lives(step), "the step is left")


def test_a_step_goes_on_when_its_run_is_killed_and_a_failed_run_is_run_again(dagster, graphql, slow):
    step = dagster.step_process(slow)
    dagster.run_process(slow).kill()
    graphql.wait_for_run(slow, expect="FAILURE")
    assert lives(step)
    again = graphql.reexecute(slow)
    (dagster.data / "harness-go").touch()
    graphql.wait_for_run(again)
    assert graphql.run(again)["parentRunId"] == slow
    until(lambda: not lives(step), "the step is left")


def test_a_server_leaves_no_process_and_no_folder():
    with Dev("tests.dagster.definitions.harness_alone") as server:
        processes = server.processes()
        assert {server.webserver(), server.daemon(), server.code_server()} <= set(processes)
    assert not any(map(lives, processes))
    assert not server.home.exists()
