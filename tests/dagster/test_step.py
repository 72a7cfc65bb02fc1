"""A step and its jobs: what an interrupt does to those that live, and who holds them."""

import logging

import dagster as dg
import pytest

import gristmill
from dagster_gristmill.options import StepOptions
from dagster_gristmill.request import BatchRequest
from dagster_gristmill.step import Step
from gristmill import JobStatus

DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-04")
KEY = dg.AssetKey("scores")


@pytest.fixture
def step(settings, lake):
    """Makes the step of three days, whose jobs run in processes of their own, each for half a minute at most."""

    days = ("2026-01-01", "2026-01-02", "2026-01-03")

    def make(*, delays=None, log=None, holder="run-a try 1", partitions=days, is_terminated=False):
        options = {"column": "id", "delay": 30.0 if delays is None else delays}
        return Step(
            asset_key=KEY,
            partitions=partitions,
            partitions_def=DAYS,
            request=BatchRequest(
                model="echo:",
                input_location=f"{lake}/orders/{{partition}}",
                output_spec={"location": f"{lake}/scores/{{partition}}"},
                inference_engine_options=options,
            ),
            settings=settings,
            given=lambda partition: None,
            holder=holder,
            force_rerun=False,
            options=StepOptions(
                checks=None, force_rerun=False, partitions_at_once=len(partitions), poll_interval=0.1, log_interval=1.0
            ),
            log=log or logging.getLogger("test_step"),
            is_terminated=lambda: is_terminated,
        )

    return make


class Interrupts(logging.Filter):
    """A log in whose writing the interrupt of a terminated run arrives."""

    def __init__(self, *, at: str) -> None:
        super().__init__()
        self.at = at

    def filter(self, record: logging.LogRecord) -> bool:
        if self.at in record.getMessage():
            self.at = "\0"
            raise dg.DagsterExecutionInterruptedError
        return True


def interrupted(at: str) -> logging.Logger:
    log = logging.Logger("interrupted")  # noqa: LOG001 - of this test alone
    log.addFilter(Interrupts(at=at))
    return log


def jobs():
    return [gristmill.get_job(row["id"]) for row in gristmill.list_jobs(-1).collect()]


def record(finished):
    yield finished.partition


def test_an_interrupt_cancels_all_jobs_that_live(step):
    with pytest.raises(dg.DagsterExecutionInterruptedError):
        list(step(log=interrupted("2026-01-03: RUNNING")).run(record))
    ended = jobs()
    assert len(ended) == 3
    assert [job.wait(240) for job in ended] == [JobStatus.CANCELLED] * 3


def test_an_interrupt_in_the_moment_of_a_start_cancels_that_job_too(step):
    with pytest.raises(dg.DagsterExecutionInterruptedError):
        list(step(log=interrupted("2026-01-02: job ")).run(record))
    ended = jobs()
    assert len(ended) == 2
    assert [job.wait(240) for job in ended] == [JobStatus.CANCELLED] * 2


@pytest.mark.parametrize("is_terminated", [True, False])
def test_a_step_that_is_dropped_between_two_events_cancels_its_jobs_where_its_run_is_terminated(step, is_terminated):
    list(step(partitions=("2026-01-01",), delays=8.0).run(record))
    dropped = step(delays=8.0, is_terminated=is_terminated).run(record)
    assert next(dropped) == "2026-01-01"
    dropped.close()
    others = [job for job in jobs() if job.location[-10:] != "2026-01-01"]
    assert [job.wait(240) for job in others] == 2 * [JobStatus.CANCELLED if is_terminated else JobStatus.DONE]


def test_an_interrupt_leaves_a_job_that_another_step_has_come_to_wait_for(step):
    day = ("2026-01-02",)

    class Taken(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            if "RUNNING" in record.getMessage():
                jobs()[0].hold("run-b try 1")
                raise dg.DagsterExecutionInterruptedError
            return True

    log = logging.Logger("taken")  # noqa: LOG001 - of this test alone
    log.addFilter(Taken())
    with pytest.raises(dg.DagsterExecutionInterruptedError):
        list(step(log=log, partitions=day, delays=3.0).run(record))
    (job,) = jobs()
    assert job.wait(240) is JobStatus.DONE


def test_what_was_cancelled_is_resumed_by_the_next_step(step, lake):
    day = ("2026-01-02",)
    with pytest.raises(dg.DagsterExecutionInterruptedError):
        list(step(log=interrupted("RUNNING"), partitions=day, delays=5.0).run(record))
    assert list(step(partitions=day, delays=5.0, holder="run-b try 1").run(record)) == ["2026-01-02"]
    (job,) = jobs()
    assert (job.status, job.record.latest().generation) == (JobStatus.DONE, 2)
    assert gristmill.read_manifest(lake / "scores/2026-01-02").rows == 10


def test_a_second_step_attaches_to_the_job_that_lives(step, settings):
    first = step(partitions=("2026-01-02",), delays=3.0)
    started = first._start("2026-01-02")
    second = step(partitions=("2026-01-02",), delays=3.0, holder="run-b try 1")
    assert list(second.run(record)) == ["2026-01-02"]
    (job,) = jobs()
    assert job.id == started.job.id
    assert job.record.latest().generation == 1
    assert job.record.holder() == "run-b try 1"


def test_what_a_job_prints_stands_in_the_output_of_the_step(step, capsys):
    assert list(step(partitions=("2026-01-02",), delays=0.0).run(record)) == ["2026-01-02"]
    assert "[runner]" in capsys.readouterr().out


def test_what_a_job_printed_that_was_done_before_is_not_told_again(step, capsys):
    for expected in (True, False):
        assert list(step(partitions=("2026-01-02",), delays=0.0).run(record)) == ["2026-01-02"]
        assert ("[runner]" in capsys.readouterr().out) is expected
