"""Parts of the server are lost while it works: backfills and runs go on, and no row is computed twice."""

import pytest
from tests.bench import generations

from gristmill import JobStatus

COUNT = 4
ROWS = 20

pytestmark = pytest.mark.timeout(900)


def test_a_backfill_goes_on_when_daemon_and_webserver_are_killed_and_started_again(dagster, graphql, bench):
    restarted = bench("restarted")
    keys = [f"p{number:02d}" for number in range(COUNT)]
    rows = {key: list(range(number * ROWS, (number + 1) * ROWS)) for number, key in enumerate(keys)}
    for key in keys:
        restarted.rows(f"in/{key}", first=rows[key][0], count=ROWS)
    backfill = graphql.backfill("restarted", keys)
    graphql.until(restarted.calls, 120, lambda: graphql.backfill_status(backfill))
    dagster.restart(dagster.daemon(), dagster.webserver())

    runs = graphql.wait_for_runs(backfill, COUNT)
    assert {run["status"] for run in runs} == {"SUCCESS"}, [graphql.story(run["runId"])[-1500:] for run in runs]
    assert graphql.wait_for_backfill(backfill) == "COMPLETED_SUCCESS"
    assert graphql.partition_counts("restarted")["numMaterialized"] == COUNT
    assert [restarted.output(f"out/{key}") for key in keys] == list(rows.values())
    assert set(restarted.calls().values()) == {1}
    jobs = restarted.jobs()
    assert sorted(job.request.key for job in jobs) == [f"restarted:{key}" for key in keys]
    assert {(job.status, generations(job)) for job in jobs} == {(JobStatus.DONE, 1)}


def test_what_is_committed_is_kept_when_all_is_lost_and_started_again(dagster, graphql, bench):
    lost = bench("all_lost")
    lost.rows("in")
    run = graphql.launch("all_lost")
    job = lost.started(rows=21)  # three calls began, so two shards are behind them
    dagster.restart()
    before = lost.calls()
    assert graphql.run(run)["status"] == "STARTED"  # nobody is left who could tell
    graphql.terminate(run, policy="MARK_AS_CANCELED_IMMEDIATELY")
    graphql.wait_for_run(run, expect="CANCELED")
    again = graphql.reexecute(run)
    graphql.wait_for_run(again)
    found = lost.job()
    assert (found.id, found.status, generations(found)) == (job.id, JobStatus.DONE, 2)
    assert lost.output("out") == list(range(40))
    after = lost.calls()
    assert sum(after.values()) < 80
    assert all(after[row] - before[row] <= 1 for row in range(40))


def test_a_run_goes_on_to_its_end_when_its_code_server_is_killed(dagster, graphql, bench):
    lost = bench("code_server_killed")
    lost.rows("in")
    run = graphql.launch("code_server_killed")
    job = lost.started()
    dagster.code_server().kill()
    graphql.wait_for_run(run)
    graphql.reload()
    dagster.until(dagster.is_ready, 120, "is not ready")
    assert (job.status, generations(job)) == (JobStatus.DONE, 1)
    assert set(lost.calls().values()) == {1}
    (made,) = graphql.materializations("code_server_killed")
    assert made["metadata"]["job"] == job.id
