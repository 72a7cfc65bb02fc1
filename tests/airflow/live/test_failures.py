"""What a task makes of failure: the job's own words in its log, and no try that cannot help."""

import pytest

from gristmill import JobStatus


@pytest.mark.parametrize("mode", ["sync", "deferred"])
def test_a_failed_job_fails_its_task_with_its_error_and_the_end_of_its_log(rest, bench, mode):
    dag_id = f"live_{mode}"
    run_id = rest.trigger(dag_id, conf=bench.conf(echo=bench.echo(fail_on=7)))
    rest.wait_for_run(dag_id, run_id, expect="failed")
    job = bench.job()
    assert job.status is JobStatus.FAILED
    log = rest.log(dag_id, run_id, "score")
    assert f"job {job.id!r} is FAILED" in log
    assert "fail_on: 7" in log
    assert "The end of its log:" in log
    last = job.get_logs(1).partition('"')[0]  # as JSON, in which errors are told, quotes look otherwise
    assert "FAILED: 1 of 40 rows failed" in last
    assert last in log


def test_a_request_that_cannot_be_right_is_not_tried_again(rest, bench):
    wrong = rest.trigger("live_sync_retried", conf=bench.conf(job={"replicas": 0}))
    rest.wait_for_run("live_sync_retried", wrong, expect="failed")
    task = rest.task_instance("live_sync_retried", wrong, "score")
    assert (task["try_number"], task["max_tries"]) == (1, 3)
    assert "JobSpec.replicas: Input should be greater than 0 (given: 0)" in rest.log(
        "live_sync_retried", wrong, "score"
    )
    assert bench.jobs() == []


def test_what_fails_in_the_world_is_tried_again_as_often_as_it_may(rest, bench):
    failed = rest.trigger("live_sync_retried", conf=bench.conf(echo=bench.echo(fail_on=7)))
    rest.wait_for_run("live_sync_retried", failed, expect="failed")
    assert rest.task_instance("live_sync_retried", failed, "score")["try_number"] == 4
    assert len(bench.jobs()) == 1


@pytest.mark.parametrize("mode", ["sync", "deferred"])
def test_more_failed_rows_than_are_taken_fail_the_task_at_once_and_the_output_stands(rest, bench, mode):
    dag_id = f"live_{mode}_retried"
    recorded = {"echo": bench.echo(fail_on=[7, 8]), "job": {"max_batch_rows": 1, "on_error": "record"}}
    few = rest.trigger(dag_id, conf=bench.conf("few", limit="2", **recorded))
    many = rest.trigger(dag_id, conf=bench.conf("many", limit="0.01", **recorded))
    rest.wait_for_run(dag_id, few)
    rest.wait_for_run(dag_id, many, expect="failed")
    assert rest.task_instance(dag_id, many, "score")["try_number"] == 1
    assert "2 of 40 rows failed, 5 %, and fail_on_errors=0.01 takes 1 %" in rest.log(dag_id, many, "score")
    assert (bench.folder / "many-out" / "_SUCCESS").is_file()
    assert rest.xcom(dag_id, few, "score")["errors"] == 2
