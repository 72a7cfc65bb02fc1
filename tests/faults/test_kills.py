"""Promise 2: kill anything with SIGKILL; nothing committed is lost, and a rerun does only what had not committed."""

import os
import signal

from gristmill import JobStatus
from tests.faults.conftest import ROWS, Victim, kill, until
from tests.processes import lives


def test_the_job_outlives_its_client(victim: Victim) -> None:
    call = victim.call(delay=0.05)
    client = victim.client(call)
    assert client.stdout is not None
    job_id = client.stdout.readline().strip()
    until(lambda: victim.calls())
    client.kill()
    client.wait()
    job = victim.submit(call)
    assert job.id == job_id
    assert job.wait(240) is JobStatus.DONE, job.message
    victim.assert_output_is_right()
    assert set(victim.calls().values()) == {1}


def test_a_client_killed_before_the_runner_starts_leaves_a_job_that_can_be_run(victim: Victim) -> None:
    call = victim.call(delay=0)
    for _ in range(3):
        client = victim.client(call)
        until(lambda: list(victim.root.glob("home/jobs/*/request.json")) or client.poll() is not None)
        client.kill()
        client.wait()
    job = victim.submit(call)
    assert job.wait(240) is JobStatus.DONE, job.message
    victim.assert_output_is_right()


def test_a_killed_runner_takes_its_workers_along_and_a_rerun_resumes(victim: Victim) -> None:
    call = victim.call(num_workers=2)
    job = victim.submit(call)
    until(lambda: len(victim.committed(job)) >= 100)
    runner, workers = victim.runner(job), victim.worker_pids(job)
    assert len(workers) >= 2
    kill(runner)
    until(lambda: not any(map(lives, [runner, *workers])))
    assert job.status is JobStatus.INTERNAL_ERROR
    assert "run the job again" in job.message
    committed, before = victim.committed(job), victim.calls()
    assert len(committed) < ROWS
    again = victim.submit(victim.call(num_workers=2))
    assert again.id == job.id
    assert again.wait(240) is JobStatus.DONE, again.message
    victim.assert_output_is_right()
    after = victim.calls()
    assert {row for row in after if after[row] > before[row]} == set(range(ROWS)) - committed


def test_a_killed_replica_is_replaced_and_only_its_shards_are_redone(victim: Victim) -> None:
    job = victim.submit(victim.call(num_workers=2))
    until(lambda: len(victim.committed(job)) >= 100)
    committed = victim.committed(job)
    before = victim.calls()
    kill(victim.worker_pids(job)[-1])
    assert job.wait(240) is JobStatus.DONE, job.message
    victim.assert_output_is_right()
    after = victim.calls()
    assert all(after[row] == before[row] for row in committed)
    assert sum(count > 1 for count in after.values()) <= 100


def test_a_row_that_kills_its_worker_is_recorded_and_all_others_are_right(victim: Victim) -> None:
    call = victim.call(delay=0, echo={"kill_on": [137]}, on_error="record")
    job = victim.submit(call)
    assert job.wait(240) is JobStatus.DONE, job.message
    import gristmill

    rows = gristmill.read_output(victim.output, settings=victim.settings).to_pylist()
    assert [row["id"] for row in rows] == list(range(ROWS))
    assert [row["id"] for row in rows if row["_error"] is not None] == [137]
    assert rows[137]["_error"]["type"] == "WorkerDied"
    assert "SIGKILL" in rows[137]["_error"]["message"]
    assert victim.calls()[137] >= 2


def test_two_clients_at_once_share_one_job_and_no_row_is_done_twice(victim: Victim) -> None:
    call = victim.call(delay=0.02)
    clients = [victim.client(call) for _ in range(4)]
    answers = [client.communicate(timeout=90)[0].split() for client in clients]
    assert {tuple(answer) for answer in answers} == {(answers[0][0], "DONE")}
    victim.assert_output_is_right()
    assert set(victim.calls().values()) == {1}


def test_a_runner_that_slept_through_its_succession_publishes_nothing(victim: Victim) -> None:
    call = victim.call(delay=0.15)  # one worker is slow enough
    job = victim.submit(call)
    until(lambda: len(victim.committed(job)) >= 100)
    zombie = victim.runner(job)
    os.kill(zombie, signal.SIGSTOP)
    try:
        claim = victim.record(job).latest()
        assert claim is not None
        successor = victim.record(job).claim(claim.claim(), after=claim.generation)
        assert successor is not None
        from gristmill.runner.execute import execute

        state = execute(victim.storage, victim.record(job), successor)
        assert state.status is JobStatus.DONE, state.message
        manifest = job.manifest()
        files = sorted(path.name for path in victim.output.iterdir())
    finally:
        os.kill(zombie, signal.SIGCONT)
    until(lambda: not lives(zombie))
    assert job.status is JobStatus.DONE
    assert job.manifest() == manifest
    assert sorted(path.name for path in victim.output.iterdir() if not path.name.startswith("_gristmill")) == files
    victim.assert_output_is_right()


def test_cancelling_ends_the_workers_and_a_rerun_resumes(victim: Victim) -> None:
    call = victim.call(num_workers=2)
    job = victim.submit(call)
    until(lambda: len(victim.committed(job)) >= 50)
    runner, workers = victim.runner(job), victim.worker_pids(job)
    job.cancel()
    assert job.status in (JobStatus.CANCELLING, JobStatus.CANCELLED)
    assert job.wait(120) is JobStatus.CANCELLED
    until(lambda: not any(map(lives, [runner, *workers])), seconds=120)
    committed, before = victim.committed(job), victim.calls()
    again = victim.submit(victim.call(num_workers=2))
    assert again.id == job.id
    assert again.wait(240) is JobStatus.DONE, again.message
    victim.assert_output_is_right()
    after = victim.calls()
    assert all(after[row] == before[row] for row in committed)


def test_running_again_what_is_being_cancelled_waits_for_its_end_and_resumes(victim: Victim) -> None:
    job = victim.submit(victim.call(delay=0.5))
    until(lambda: len(victim.committed(job)) >= 50)
    committed, before = victim.committed(job), victim.calls()
    job.cancel()
    again = victim.submit(victim.call(delay=0.5, num_workers=4))
    assert again.id == job.id
    run = again.record.latest()
    assert run is not None
    assert run.generation == 2
    assert again.wait(120) is JobStatus.DONE, again.message
    victim.assert_output_is_right()
    after = victim.calls()
    assert all(after[row] == before[row] for row in committed)


def test_cancelling_a_job_whose_runner_is_gone_says_cancelled(victim: Victim) -> None:
    job = victim.submit(victim.call(delay=0.5))
    until(lambda: victim.calls())
    kill(victim.runner(job))
    until(lambda: job.status is JobStatus.INTERNAL_ERROR)
    job.cancel()
    assert job.status is JobStatus.CANCELLED


def test_a_finished_job_is_returned_and_another_request_is_another_job(victim: Victim) -> None:
    job = victim.submit(victim.call(delay=0))
    assert job.wait(240) is JobStatus.DONE, job.message
    same = victim.submit(victim.call(delay=0))
    assert same.id == job.id
    assert set(victim.calls().values()) == {1}
    other = victim.submit(victim.call(delay=0.001))
    assert other.id != job.id
    assert other.wait(240) is JobStatus.DONE, other.message
    assert other.name == job.name
    victim.assert_output_is_right()


def test_a_finished_job_whose_output_is_gone_runs_again(victim: Victim) -> None:
    import shutil

    job = victim.submit(victim.call(delay=0))
    assert job.wait(240) is JobStatus.DONE, job.message
    shutil.rmtree(victim.output)
    again = victim.submit(victim.call(delay=0))
    assert again.wait(240) is JobStatus.DONE, again.message
    assert again.id != job.id
    victim.assert_output_is_right()
