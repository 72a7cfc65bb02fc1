"""What somebody who ends a task does to its job: marked failed or succeeded, cleared, or out of time."""

import pytest
from tests.bench import generations, runner_of, until
from tests.processes import lives

from gristmill import JobStatus

PATIENCE = 120
"""Seconds that a test waits for a job to be cancelled: a limit for a busy machine, not what is promised."""

MODES = {"sync": "running", "deferred": "deferred"}
LONG = 10.0
"""Seconds of each of the four calls: forty in all, if nobody cancels."""


def start(rest, bench, mode, *, kind="", name="one", delay=LONG):
    """A run whose job is at work, and the process tree of its runner."""
    dag_id = f"live_{mode}{kind}"
    run_id = rest.trigger(dag_id, conf=bench.conf(name, delay=delay))
    rest.wait_for_task(dag_id, run_id, "score", MODES[mode])
    job = bench.started(f"{name}-out")
    if mode == "deferred":  # Airflow tells a trigger of its task's end only once that trigger runs
        until(lambda: "RUNNING" in rest.log(dag_id, run_id, "score"), "the trigger does not start")
    return dag_id, run_id, job, runner_of(job)


def assert_cancelled(job, processes):
    until(lambda: job.status is JobStatus.CANCELLED, f"it is {job.status.value}", seconds=PATIENCE)
    until(lambda: not any(map(lives, processes)), "the runner's processes are left", seconds=PATIENCE)


@pytest.mark.parametrize("mode", MODES)
def test_a_task_that_is_marked_failed_cancels_its_job(rest, bench, mode):
    dag_id, run_id, job, processes = start(rest, bench, mode)
    rest.mark(dag_id, run_id, "score", "failed")
    assert_cancelled(job, processes)
    rest.wait_for_run(dag_id, run_id, expect="failed")
    assert not (bench.folder / "one-out" / "_SUCCESS").exists()


@pytest.mark.parametrize("mode", MODES)
def test_a_task_that_is_marked_succeeded_cancels_its_job(rest, bench, mode):
    dag_id, run_id, job, processes = start(rest, bench, mode)
    rest.mark(dag_id, run_id, "score", "success")
    assert_cancelled(job, processes)
    rest.wait_for_run(dag_id, run_id)


@pytest.mark.parametrize("mode", MODES)
def test_a_job_goes_on_to_its_end_when_it_is_not_to_be_cancelled(airflow, rest, bench, mode):
    dag_id, run_id, job, _ = start(rest, bench, mode, kind="_kept", delay=5)
    task = rest.task_instance(dag_id, run_id, "score")
    process = airflow.task_process(task) if mode == "sync" else None
    rest.mark(dag_id, run_id, "score", "failed")
    rest.wait_for_run(dag_id, run_id, expect="failed")
    if process is not None:
        until(lambda: not lives(process), "the task goes on")
    assert job.wait(60) is JobStatus.DONE
    assert bench.output() == list(range(40))
    assert set(bench.calls().values()) == {1}


@pytest.mark.parametrize("mode", MODES)
def test_a_task_that_is_cleared_while_it_runs_has_its_job_finished_by_the_next_try(rest, bench, mode):
    dag_id, run_id, job, processes = start(rest, bench, mode, delay=5)
    rest.clear(dag_id, run_id, "score")
    rest.wait_for_task(dag_id, run_id, "score", "success", try_number=2)
    again = bench.job()
    assert (again.id, again.status) == (job.id, JobStatus.DONE)
    # cancelled and resumed, or kept: a triggerer may hear of the Clear only after the next try waits for the job
    assert generations(again) in ((2,) if mode == "sync" else (1, 2))
    until(lambda: not any(map(lives, processes)), "the first runner is left")
    assert bench.output() == list(range(40))
    assert max(bench.calls().values()) <= 2


@pytest.mark.parametrize("mode", MODES)
def test_a_task_that_runs_out_of_time_cancels_its_job_and_fails(rest, bench, mode):
    dag_id, run_id, job, processes = start(rest, bench, mode, kind="_short_of_time", delay=30)
    rest.wait_for_run(dag_id, run_id, expect="failed")
    assert_cancelled(job, processes)
