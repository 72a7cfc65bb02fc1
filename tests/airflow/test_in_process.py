"""Runs in the tests' own process: what the other tests of this folder rely on."""

import signal
from datetime import UTC, datetime

import pytest
from tests.airflow.in_process import listeners, meanwhile


def test_deferred_mapped_and_retried_tasks_run_to_their_end(run_dag):
    run = run_dag("harness_in_process", conf={"number": 7}, logical_date=datetime(2026, 1, 2, tzinfo=UTC))

    assert run.state == "success", run.log
    assert run.task_state("wait") == "success"
    assert run.xcom("say", map_index=0) == "aa"
    assert run.xcom("say", map_index=1) == "bb"
    assert run.xcom("fail_once") == 7
    assert run.task_instances()["fail_once", -1].try_number == 2
    assert "the word is b" in run.log
    assert "ValueError: first try" in run.log


def test_each_run_of_a_test_has_its_own_log(run_dag):
    first = run_dag("harness_in_process", conf={"number": 1})
    second = run_dag("harness_in_process", conf={"number": 2}, logical_date=None)

    assert (first.xcom("fail_once"), second.xcom("fail_once")) == (1, 2)
    assert second.log.count("the word is b") == 1


def test_what_is_done_when_the_log_says_so_is_done_once_and_its_failure_is_the_tests(run_dag):
    done: list[int] = []

    def act() -> None:
        done.append(1)
        raise ValueError("it cannot be done")

    with pytest.raises(ValueError, match="it cannot be done"), meanwhile(act, told="the word is"):
        run_dag("harness_in_process", conf={"number": 1})
    assert (len(done), listeners) == (1, [])


def test_a_run_leaves_the_signals_of_this_process_alone():
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
