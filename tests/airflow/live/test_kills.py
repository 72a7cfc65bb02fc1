"""SIGKILL of what runs a task, wherever it stands: one job in the end, one output, and no row computed twice."""

import signal

import psutil
import pytest
from tests.bench import generations, runner_of, until
from tests.processes import kill_all, lives

from gristmill import JobStatus

ROWS = list(range(40))


def assert_one_job_once(bench, rest, dag_id, run_id, *, tries):
    rest.wait_for_run(dag_id, run_id)
    job = bench.job()
    assert (job.status, generations(job)) == (JobStatus.DONE, 1)
    assert bench.output() == ROWS
    assert set(bench.calls().values()) == {1}
    assert rest.xcom(dag_id, run_id, "score") == job.manifest().summary(job.location)
    assert rest.task_instance(dag_id, run_id, "score")["try_number"] == tries


def test_a_task_that_is_killed_while_it_waits_is_tried_again_and_attaches(airflow, rest, bench):
    run_id = rest.trigger("live_sync_retried", conf=bench.conf(delay=4))
    task = rest.wait_for_task("live_sync_retried", run_id, "score", "running")
    bench.started()
    airflow.task_process(task).kill()
    assert_one_job_once(bench, rest, "live_sync_retried", run_id, tries=2)
    assert "which an earlier try has started" in rest.log("live_sync_retried", run_id, "score")


@pytest.mark.parametrize("dag_id", ["live_sync_retried", "live_deferred_retried"])
def test_a_task_that_is_killed_just_when_its_job_is_recorded_has_that_job_when_tried_again(
    airflow, rest, bench, dag_id
):
    run_id = rest.trigger(dag_id, conf=bench.conf())
    task = rest.wait_for_task(dag_id, run_id, "score", "running")
    process = airflow.task_process(task)
    staging = bench.folder / "one-out"
    until(lambda: any(staging.rglob("plan.parquet")) or not lives(process), "there is no plan", pause=0.001)
    kill_all([process])  # the plan is written first, then the record, then the claim
    rest.wait_for_run(dag_id, run_id)
    job = bench.job()
    assert job.status is JobStatus.DONE
    assert bench.output() == ROWS
    assert set(bench.calls().values()) == {1}
    # a task that defers may be gone before it is killed
    tries = (1, 2) if dag_id == "live_deferred_retried" else (2,)
    assert rest.task_instance(dag_id, run_id, "score")["try_number"] in tries
    left = airflow.find(lambda found: "gristmill.runner" in found)
    until(lambda: not any(map(lives, left)), "a runner is left that nobody needs")


def test_a_task_that_is_killed_before_it_defers_is_tried_again_and_attaches(airflow, rest, bench):
    run_id = rest.trigger("live_slow_to_defer", conf=bench.conf(delay=4))
    task = rest.wait_for_task("live_slow_to_defer", run_id, "score", "running")
    bench.started()
    airflow.task_process(task).kill()
    rest.wait_for_task("live_slow_to_defer", run_id, "score", "deferred")
    assert_one_job_once(bench, rest, "live_slow_to_defer", run_id, tries=2)


def test_a_task_that_is_killed_when_it_is_back_from_the_triggerer_takes_the_finished_job(airflow, rest, bench):
    run_id = rest.trigger("live_slow_to_resume", conf=bench.conf(delay=2))
    rest.wait_for_task("live_slow_to_resume", run_id, "score", "deferred")
    job = bench.started()
    job.wait(60)
    task = rest.wait_for_task("live_slow_to_resume", run_id, "score", "running")
    airflow.task_process(task).kill()
    assert_one_job_once(bench, rest, "live_slow_to_resume", run_id, tries=2)


@pytest.mark.parametrize("signal_sent", [signal.SIGKILL, signal.SIGTERM])
def test_a_job_goes_on_when_its_triggerer_ends_and_another_waits_for_it(airflow, rest, bench, signal_sent):
    run_id = rest.trigger("live_deferred", conf=bench.conf(delay=4))
    rest.wait_for_task("live_deferred", run_id, "score", "deferred")
    job = bench.started()
    airflow.restart("triggerer", with_signal=signal_sent)
    assert job.status in (JobStatus.RUNNING, JobStatus.DONE)
    assert_one_job_once(bench, rest, "live_deferred", run_id, tries=1)


def test_a_task_whose_machine_is_lost_with_its_runner_resumes_and_keeps_what_is_committed(airflow, rest, bench):
    run_id = rest.trigger("live_sync_retried", conf=bench.conf(delay=4))
    task = rest.wait_for_task("live_sync_retried", run_id, "score", "running")
    job = bench.started(rows=21)  # three calls began, so two shards are behind them
    process: psutil.Process = airflow.task_process(task)
    kill_all([*runner_of(job), process])
    before = bench.calls()
    rest.wait_for_run("live_sync_retried", run_id)
    again = bench.job()
    assert (again.id, again.status, generations(again)) == (job.id, JobStatus.DONE, 2)
    assert bench.output() == ROWS
    after = bench.calls()
    assert set(after) == set(ROWS)
    assert sum(after.values()) < 2 * len(ROWS)
    assert all(after[row] - before[row] <= 1 for row in ROWS)
