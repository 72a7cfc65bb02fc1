"""When deaths end a job."""

import pytest

from gristmill.runner.deaths import DeathToll

KILLED = "its process was killed by SIGKILL"


def test_five_convictions_with_no_success_in_between_end_the_job_and_say_what_to_do() -> None:
    toll = DeathToll()
    toll.ready()
    told = [toll.died(0, "CUDA error", was_ready=True, convicted=True) for _ in range(5)]
    assert told[:4] == [None] * 4
    assert "CUDA error" in str(told[4])
    assert "run the job again" in str(told[4])


def test_a_success_acquits_the_engine() -> None:
    toll = DeathToll()
    toll.ready()
    for _ in range(20):
        for _ in range(4):
            assert toll.died(0, KILLED, was_ready=True, convicted=True) is None
        toll.succeeded()


def test_ten_convictions_are_too_many_for_an_engine_that_has_worked() -> None:
    toll = DeathToll()
    toll.ready()
    toll.succeeded()
    told = [toll.died(0, "CUDA error", was_ready=True, convicted=True) for _ in range(10)]
    assert told[:9] == [None] * 9
    assert "10 rows" in str(told[9])


def test_fifty_deaths_with_nothing_done_in_between_end_the_job() -> None:
    toll = DeathToll()
    toll.ready()
    told = [toll.died(number % 8, "gone", was_ready=True) for number in range(50)]
    assert told[:49] == [None] * 49
    assert "50 times" in str(told[49])


@pytest.mark.parametrize("reason", [KILLED, "the node ran out of memory"])
def test_a_worker_killed_while_it_loads_is_tried_once_more(reason: str) -> None:
    toll = DeathToll()
    assert toll.died(0, reason, was_ready=False) is None
    assert "memory_requests" in str(toll.died(0, reason, was_ready=False))


def test_two_workers_killed_at_once_are_both_tried_again() -> None:
    toll = DeathToll()
    assert [toll.died(worker, KILLED, was_ready=False) for worker in (0, 1)] == [None, None]
    toll.ready()
    assert toll.died(1, KILLED, was_ready=False) is None


@pytest.mark.parametrize("reason", [KILLED, "its process ended with exit code 1"])
def test_three_deaths_while_loading_end_the_job_where_a_worker_was_ready_once_or_another_reason_is_given(
    reason: str,
) -> None:
    toll = DeathToll()
    if reason == KILLED:
        toll.ready()
    assert [toll.died(0, reason, was_ready=False) for _ in range(2)] == [None, None]
    assert "3 in a row" in str(toll.died(0, reason, was_ready=False))
