"""What names the wish of a forced rerun."""

import dagster as dg

from dagster_gristmill.rerun import rerun_wish

SUCCESS, FAILURE, CANCELED = (
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
)


def chain(*statuses):
    """Runs of which each is the next one's parent."""
    runs = {}
    parent = None
    for number, status in enumerate(statuses):
        run = dg.DagsterRun(
            job_name="job", run_id=f"r{number}", status=status, parent_run_id=parent, root_run_id=parent and "r0"
        )
        runs[run.run_id] = run
        parent = run.run_id
    return runs


def wish(runs, run_id):
    return rerun_wish(runs[run_id], runs.get)


def test_a_retry_has_the_wish_of_the_run_it_retries():
    runs = chain(FAILURE, CANCELED, dg.DagsterRunStatus.STARTED)
    assert wish(runs, "r0") == wish(runs, "r1") == wish(runs, "r2")


def test_a_run_that_is_executed_again_after_it_has_succeeded_is_another_wish():
    runs = chain(FAILURE, SUCCESS, FAILURE, dg.DagsterRunStatus.STARTED)
    assert wish(runs, "r0") == wish(runs, "r1")
    assert wish(runs, "r2") == wish(runs, "r3") != wish(runs, "r1")


def test_runs_by_hand_are_wishes_of_their_own():
    assert wish(chain(SUCCESS), "r0") != wish({"x": dg.DagsterRun(job_name="job", run_id="x")}, "x")


def test_a_parent_that_was_deleted_ends_the_chain():
    runs = chain(FAILURE, FAILURE, FAILURE)
    del runs["r0"]
    assert wish(runs, "r1") == wish(runs, "r2")
