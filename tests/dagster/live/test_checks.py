"""Asset checks come with an output, and can be run alone, on what stands there by then."""

from tests.bench import generations


def test_checks_that_are_run_alone_examine_the_output_and_compute_nothing(graphql, bench):
    checked = bench("checked")
    checked.rows("in", count=4, files=2)
    run = graphql.launch("checked")
    graphql.wait_for_run(run)
    first = graphql.checks("checked")
    assert {name: found["status"] for name, found in first.items()} == {
        "complete": "SUCCEEDED",
        "error_rate": "SUCCEEDED",
        "no_nulls": "SUCCEEDED",
    }
    assert {found["evaluation"]["targetMaterialization"]["runId"] for found in first.values()} == {run}

    next((checked.folder / "out").glob("*.parquet")).unlink()
    alone = graphql.launch(checks=[("checked", "complete"), ("checked", "error_rate")])
    graphql.wait_for_run(alone)
    second = graphql.checks("checked")
    assert {name: (found["runId"], found["status"]) for name, found in second.items()} == {
        "complete": (alone, "FAILED"),
        "error_rate": (alone, "SUCCEEDED"),
        "no_nulls": (run, "SUCCEEDED"),
    }
    assert second["complete"]["evaluation"]["metadata"]["location"] == str(checked.folder / "out")
    assert len(graphql.materializations("checked")) == 1
    assert generations(checked.job()) == 1
    assert set(checked.calls().values()) == {1}
