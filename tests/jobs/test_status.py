"""What a job's record amounts to, and what running a job again means."""

import os
import subprocess
import sys

import pytest

from gristmill.jobs.process import is_alive, process_of, this_process
from gristmill.jobs.record import Progress, State
from gristmill.jobs.status import HEARTBEAT_LIMIT, START_LIMIT, judge, may_attach, next_step
from gristmill.spec.enums import JobStatus

RUNNING = State(JobStatus.RUNNING, "running", 100.0)


def status(
    state: State = RUNNING,
    *,
    now: float = 110.0,
    beat: float | None = 109.0,
    alive: bool | None = True,
    cancel: bool = False,
) -> JobStatus:
    progress = None if beat is None else Progress(time=beat)
    return judge(state, now=now, claimed=100.0, progress=progress, alive=alive, cancel_asked=cancel).status


@pytest.mark.parametrize("final", [status for status in JobStatus if status.is_terminal])
def test_a_terminal_state_stands_whatever_became_of_the_runner(final: JobStatus) -> None:
    assert status(State(final), alive=False, cancel=True) is final


def test_a_live_runner_is_believed_however_old_its_heartbeat() -> None:
    assert status(now=10_000.0) is JobStatus.RUNNING


def test_a_runner_that_is_gone_is_told_at_once() -> None:
    assert status(alive=False) is JobStatus.INTERNAL_ERROR


def test_a_runner_elsewhere_is_gone_when_it_has_been_silent_too_long() -> None:
    assert status(alive=None, now=109.0 + HEARTBEAT_LIMIT) is JobStatus.RUNNING
    assert status(alive=None, now=109.1 + HEARTBEAT_LIMIT) is JobStatus.INTERNAL_ERROR


def test_a_runner_elsewhere_has_longer_to_start() -> None:
    pending = State(JobStatus.PENDING)
    assert status(pending, beat=None, alive=None, now=100.0 + START_LIMIT) is JobStatus.PENDING
    assert status(pending, beat=None, alive=None, now=100.1 + START_LIMIT) is JobStatus.INTERNAL_ERROR


def test_cancelling_is_seen_before_and_after_the_runner_has_heard_of_it() -> None:
    assert status(cancel=True) is JobStatus.CANCELLING
    assert status(cancel=True, alive=False) is JobStatus.CANCELLED


STEPS = [
    (None, False, False, "start"),
    (JobStatus.RUNNING, False, False, "attach"),
    (JobStatus.PENDING, True, False, "attach"),
    (JobStatus.CANCELLING, False, False, "wait"),
    (JobStatus.CANCELLING, True, True, "wait"),
    (JobStatus.DONE, False, True, "return"),
    (JobStatus.DONE, False, False, "restart"),
    (JobStatus.DONE, True, True, "restart"),
    (JobStatus.FAILED, False, False, "resume"),
    (JobStatus.CANCELLED, False, False, "resume"),
    (JobStatus.INTERNAL_ERROR, False, False, "resume"),
    (JobStatus.FAILED, True, False, "restart"),
]


@pytest.mark.parametrize(("found", "force", "stands", "step"), STEPS)
def test_running_a_job_again(found: JobStatus | None, force: bool, stands: bool, step: str) -> None:
    assert next_step(found, force_rerun=force, output_stands=stands) == step


def test_processes_are_told_apart_by_their_start_and_zombies_are_gone() -> None:
    assert is_alive(this_process())
    assert not is_alive({**this_process(), "started": "1"})
    assert is_alive({**this_process(), "host": "elsewhere"}) is None
    assert is_alive({}) is None
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    known = process_of(child.pid)
    assert is_alive(known)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(known)
    assert not is_alive(process_of(child.pid))
    child.wait()
    assert not is_alive(known)


@pytest.mark.parametrize("status", JobStatus)
def test_a_retry_attaches_to_what_is_or_will_be_its_output_and_to_nothing_else(status: JobStatus) -> None:
    goes_on = status in (JobStatus.PENDING, JobStatus.RUNNING)
    assert may_attach(status, output_stands=False) is goes_on
    assert may_attach(status, output_stands=True) is (goes_on or status is JobStatus.DONE)
