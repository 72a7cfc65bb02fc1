"""SIGKILL of what runs an asset, wherever it stands: one job in the end, one output, and no row computed twice."""

import pytest
from tests.bench import generations, runner_of, until
from tests.processes import kill_all, lives

from gristmill import JobStatus

ROWS = list(range(40))

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def start(graphql, bench):
    """Starts a run of an asset; once its job computes, gives the run, the bench and the job."""

    def started(asset, *, rows=1, **arguments):
        mine = bench(asset)
        mine.rows("in")
        return graphql.launch(asset, **arguments), mine, mine.started(rows=rows)

    return started


def assert_one_job_once(graphql, bench, asset, run):
    job = bench.job()
    assert (job.status, generations(job)) == (JobStatus.DONE, 1)
    assert bench.output("out") == ROWS
    assert set(bench.calls().values()) == {1}
    made = graphql.materializations(asset)
    assert {one["metadata"]["job"] for one in made} == {job.id}
    assert len({one["tags"]["dagster/data_version"] for one in made}) == 1
    assert [one["runId"] for one in made].count(run) == 1
    return made


def test_a_run_that_is_killed_and_executed_again_attaches_to_the_job_though_its_step_lives_on(dagster, graphql, start):
    run, bench, _ = start("run_killed")
    step = dagster.step_process(run)
    dagster.run_process(run).kill()
    graphql.wait_for_run(run, expect="FAILURE")
    assert lives(step)
    again = graphql.reexecute(run)
    graphql.wait_for_run(again)
    until(lambda: not lives(step), "the first step does not end")
    assert_one_job_once(graphql, bench, "run_killed", again)


def test_a_run_that_is_killed_with_its_step_and_executed_again_attaches_to_the_job(dagster, graphql, start):
    run, bench, _ = start("run_and_step_killed")
    kill_all([dagster.step_process(run), dagster.run_process(run)])
    graphql.wait_for_run(run, expect="FAILURE")
    again = graphql.reexecute(run)
    graphql.wait_for_run(again)
    assert len(assert_one_job_once(graphql, bench, "run_and_step_killed", again)) == 1


def test_a_step_that_is_killed_alone_fails_its_run_and_the_next_one_takes_the_job(dagster, graphql, start):
    run, bench, job = start("step_killed")
    dagster.step_process(run).kill()
    graphql.wait_for_run(run, expect="FAILURE")
    assert job.wait(240) is JobStatus.DONE
    again = graphql.launch("step_killed")
    graphql.wait_for_run(again)
    assert len(assert_one_job_once(graphql, bench, "step_killed", again)) == 1


def test_a_killed_run_that_is_to_be_retried_is_retried_by_dagster_and_attaches(dagster, graphql, start):
    run, bench, _ = start("retried", tags={"dagster/max_retries": "1"})
    dagster.run_process(run).kill()
    retry = graphql.until(
        lambda: graphql.runs(dagster__parent_run_id=run), 120, lambda: f"no retry: {graphql.story(run)}"
    )
    graphql.wait_for_run(retry[0]["runId"])
    assert_one_job_once(graphql, bench, "retried", retry[0]["runId"])


def test_what_is_committed_is_kept_when_step_and_job_are_lost_together(dagster, graphql, start):
    run, bench, job = start("step_and_job_killed", rows=21)  # three calls began, so two shards are behind them
    kill_all([*runner_of(job), dagster.step_process(run), dagster.run_process(run)])
    before = bench.calls()
    graphql.wait_for_run(run, expect="FAILURE")
    again = graphql.reexecute(run)
    graphql.wait_for_run(again)
    found = bench.job()
    assert (found.id, found.status, generations(found)) == (job.id, JobStatus.DONE, 2)
    assert bench.output("out") == ROWS
    after = bench.calls()
    assert set(after) == set(ROWS)
    assert sum(after.values()) < 2 * len(ROWS)
    assert all(after[row] - before[row] <= 1 for row in ROWS)
