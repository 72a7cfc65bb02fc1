"""The live server does what the tests that use it take for granted."""

from tests.dagster.dev import Dev
from tests.processes import lives


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


def test_a_server_leaves_no_process_and_no_folder():
    with Dev("tests.dagster.definitions.harness_alone") as server:
        parts = {server.webserver(), server.daemon(), server.code_server()}  # each is waited for
        processes = server.processes()
        assert parts <= set(processes)
    assert not any(map(lives, processes))
    assert not server.home.exists()
