"""Following logs: each line once, whatever the storage, and whatever happens to the record meanwhile."""

import errno
from pathlib import Path

import pytest

from gristmill.jobs.handle import Job
from gristmill.jobs.record import Claim, JobRecord, RunRecord
from gristmill.jobs.tail import LogTail
from gristmill.runner.logs import LogWriter
from gristmill.spec.enums import SaveMode
from gristmill.spec.job import JobSpec
from gristmill.spec.request import RunRequest
from gristmill.storage.storage import Storage

HOW = RunRequest(job_spec=JobSpec(), pool="local", mode=SaveMode.OVERWRITE)
CLAIM = Claim(how=HOW, owner="me", host="here", claimed=0.0)


class Printing:
    """A job whose runs print what a test says."""

    def __init__(self, storage: Storage, home: str) -> None:
        self.record = JobRecord(storage, home, "job")
        self.tail = LogTail(Job(self.record))
        self.start()

    def start(self) -> RunRecord:
        latest = self.record.latest()
        run = self.record.claim(CLAIM, after=0 if latest is None else latest.generation)
        assert run is not None
        self.logs = LogWriter(self.record.storage, run.logs)
        return run

    def says(self, instance: str, text: str) -> None:
        self.logs.write(instance, text)
        self.logs.flush()


@pytest.fixture(params=["file", "memory"])
def printing(request: pytest.FixtureRequest, storage: Storage, tmp_path: Path) -> Printing:
    return Printing(storage, str(tmp_path / "home") if request.param == "file" else f"memory:///{tmp_path.name}/home")


def test_each_line_is_told_once_with_its_instance(printing: Printing) -> None:
    assert printing.tail.lines() == []
    printing.says("worker-0", "loading\nready\n")
    printing.says("runner", "hello\n")
    assert printing.tail.lines() == ["[runner] hello", "[worker-0] loading", "[worker-0] ready"]
    assert printing.tail.lines() == []
    for number in range(3):
        printing.says("worker-0", f"row {number}\n")
    assert printing.tail.lines() == ["[worker-0] row 0", "[worker-0] row 1", "[worker-0] row 2"]


def test_a_half_line_waits_for_its_end_or_for_the_end_of_the_job(printing: Printing) -> None:
    printing.says("worker-0", "grüß")
    assert printing.tail.lines() == []
    printing.says("worker-0", "e\nby")
    assert printing.tail.lines() == ["[worker-0] grüße"]
    assert printing.tail.lines(last=True) == ["[worker-0] by"]
    assert printing.tail.lines(last=True) == []


def test_a_new_run_begins_after_the_rest_of_the_old_one(printing: Printing) -> None:
    printing.says("runner", "one\n")
    assert printing.tail.lines() == ["[runner] one"]
    printing.says("runner", "dying")
    printing.start()
    printing.says("runner", "two\n")
    assert printing.tail.lines() == ["[runner] dying"]
    assert printing.tail.lines() == ["[runner] two"]


def test_what_is_printed_all_at_once_comes_in_bounded_pieces_and_whole(printing: Printing) -> None:
    printing.says("worker-0", "".join(f"line {number}\n" for number in range(200_000)))
    calls = []
    while lines := printing.tail.lines(last=True):
        calls.append(lines)
    assert len(calls) > 1
    assert [line for lines in calls for line in lines] == [f"[worker-0] line {number}" for number in range(200_000)]


def test_a_line_without_end_is_told_in_pieces(printing: Printing) -> None:
    printing.says("worker-0", "." * 70_000)
    assert printing.tail.lines() == ["[worker-0] " + "." * 70_000]


def test_a_job_that_was_never_started_or_is_deleted_says_nothing(printing: Printing, storage: Storage) -> None:
    assert LogTail(Job(JobRecord(storage, printing.record.home, "other"))).lines() == []
    printing.says("runner", "one\n")
    printing.record.delete()
    assert printing.tail.lines() == []


class Failing(Storage):
    """Storage that fails when a test says so."""

    problem: OSError | None = None

    def children(self, location: str) -> list[str]:
        if self.problem is not None:
            raise self.problem
        return super().children(location)


def test_a_record_that_cannot_be_read_for_a_moment_is_read_later(storage: Storage, tmp_path: Path) -> None:
    failing = Failing(storage.settings)
    printing = Printing(failing, str(tmp_path / "home"))
    printing.says("runner", "one\n")
    failing.problem = OSError(errno.ECONNRESET, "gone for a moment")
    assert printing.tail.lines() == []
    failing.problem = None
    assert printing.tail.lines() == ["[runner] one"]
    failing.problem = PermissionError(errno.EACCES, "not yours")
    with pytest.raises(PermissionError):
        printing.tail.lines()
