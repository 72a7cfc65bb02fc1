"""Publishing under fire: killed at every change it makes to the disk, frozen there, raced."""

import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gristmill.outputs.layout import SENTINEL, log_of
from gristmill.outputs.manifest import read_manifest
from gristmill.outputs.read import read_output
from gristmill.spec.enums import SaveMode
from gristmill.storage.storage import Storage
from tests.outputs.faults import (
    BROKEN,
    CONFLICT,
    DONE,
    REFUSED,
    dawdle,
    fork,
    freeze_at,
    kill_at,
    wait,
    wait_until_frozen,
)
from tests.outputs.work import Work, assert_output, dead, files, live


class Place:
    """A location with an old output (for OVERWRITE) and a new one that is ready to be published; as often as wanted."""

    def __init__(self, storage: Storage, folder: Path, mode: SaveMode) -> None:
        self.mode = mode
        self._template = folder / "template"
        self.location = str(folder / "out")
        self.old = Work(storage, self.location, "job-old")
        self.new = Work(storage, self.location, "job-new")
        self.next = Work(storage, self.location, "job-next", shards=2)
        if mode is SaveMode.OVERWRITE:
            self.old.do().publish()
            Path(self.location, "sub").mkdir()
            Path(self.location, "sub", "foreign.csv").write_text("a,b\n")
        self.new.do()
        self.next.do()
        shutil.copytree(self.location, self._template)

    def reset(self) -> None:
        shutil.rmtree(self.location)
        shutil.copytree(self._template, self.location)

    def assert_old(self) -> None:
        if self.mode is SaveMode.OVERWRITE:
            assert read_output(self.old.storage, self.location).equals(self.old.rows)
            assert Path(self.location, "sub", "foreign.csv").read_text() == "a,b\n"
        else:
            assert files(self.old.storage, self.location, private=False) == []


@pytest.fixture
def memory_disk() -> Iterator[Path]:
    """A folder in memory where the machine has one: these tests wait for the disk thousands of times."""
    shared = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture(params=[SaveMode.OVERWRITE, SaveMode.ERROR], ids=lambda mode: mode.value)
def place(request: pytest.FixtureRequest, storage: Storage, memory_disk: Path) -> Place:
    return Place(storage, memory_disk, request.param)


def is_begun(place: Place) -> bool:
    """Whether the publication of the new output is past its point of no return."""
    folder = Path(log_of(place.location))
    entries = folder.glob("*.jsonl") if folder.exists() else ()
    return any('"kind": "publish"' in entry.read_text() for entry in entries)


def is_finished(place: Place) -> bool:
    sentinel = Path(place.location, SENTINEL)
    return sentinel.exists() and read_manifest(place.new.storage, place.location).job == place.new.job


def test_killed_at_any_change_leaves_the_old_output_or_after_a_resume_the_new_one(place: Place) -> None:
    seen = set()
    for n in itertools.count(1):
        place.reset()
        child = fork(lambda: place.new.publish(place.mode), root=place.location, at_change=kill_at(n))
        code = wait(child)
        if code == DONE:
            break
        assert code == -signal.SIGKILL
        if is_finished(place):
            seen.add("finished")
            assert read_output(place.new.storage, place.location).equals(place.new.rows)
        elif is_begun(place):
            seen.add("begun")
        else:
            seen.add("old")
            place.assert_old()
        place.new.publish(place.mode, generation=2)
        assert_output(Work(place.new.storage, place.location, "job-new"), alone=False)
        leftovers = [
            file for file in files(place.new.storage, place.location) if "/job-new/" in file or "/log/" in file
        ]
        assert leftovers == []
    assert seen == {"old", "begun", "finished"}
    assert n > 15


def test_killed_at_any_change_another_job_finds_the_old_output_or_finishes_the_new_one(place: Place) -> None:
    for n in itertools.count(1):
        place.reset()
        if wait(fork(lambda: place.new.publish(place.mode), root=place.location, at_change=kill_at(n))) == DONE:
            break
        begun = is_begun(place)
        finished = is_finished(place)
        if place.mode is SaveMode.ERROR and (begun or finished):
            assert wait(fork(lambda: place.next.publish(SaveMode.ERROR), root="", at_change=kill_at(0))) == REFUSED
            assert_output(place.new, alone=False)
        else:
            place.next.publish(place.mode)
            assert_output(place.next, alone=False)


def test_a_resume_that_is_killed_too_is_resumed_as_well(place: Place) -> None:
    for n in range(1, 60, 3):
        place.reset()
        if wait(fork(lambda: place.new.publish(place.mode), root=place.location, at_change=kill_at(n))) == DONE:
            break
        for generation in itertools.count(2):
            child = fork(
                lambda: place.new.publish(place.mode, generation=generation),
                root=place.location,
                at_change=kill_at(3 + 2 * generation),
            )
            if wait(child) == DONE:
                break
        assert_output(place.new, alone=False)


def test_frozen_at_any_change_it_harms_nothing_that_came_later(place: Place) -> None:
    for n in itertools.count(1):
        place.reset()
        child = fork(lambda: place.new.publish(place.mode), root=place.location, at_change=freeze_at(n))
        if wait_until_frozen(child) == DONE:
            break
        try:
            place.new.publish(place.mode, generation=2)
            place.next.publish(SaveMode.OVERWRITE)
            assert_output(place.next, alone=False)
        finally:
            os.kill(child, signal.SIGCONT)
        assert wait(child) in (DONE, CONFLICT, REFUSED)
        assert_output(place.next, alone=False)
        place.next.publish(SaveMode.OVERWRITE, generation=2)
        assert_output(place.next, alone=False)
    assert n > 15


def test_frozen_at_any_change_while_the_next_job_publishes_the_next_output_is_whole(place: Place) -> None:
    for n in itertools.count(1):
        place.reset()
        child = fork(lambda: place.new.publish(place.mode), root=place.location, at_change=freeze_at(n))
        if wait_until_frozen(child) == DONE:
            break
        place.new.publish(place.mode, generation=2)
        other = fork(
            lambda: place.next.publish(SaveMode.OVERWRITE), root=place.location, at_change=freeze_at(4 + n % 12)
        )
        frozen = wait_until_frozen(other) is None
        os.kill(child, signal.SIGCONT)
        assert wait(child) in (DONE, CONFLICT, REFUSED)
        if frozen:
            os.kill(other, signal.SIGCONT)
            assert wait(other) in (DONE, CONFLICT)
        place.next.publish(SaveMode.OVERWRITE, generation=2)
        assert_output(place.next, alone=False)


def test_a_sentinel_taken_by_a_late_process_that_then_dies_is_put_back(storage: Storage, tmp_path: Path) -> None:
    work = Work(storage, str(tmp_path / "out"), "job-a").do()
    work.publish()
    aside = Path(log_of(work.location), "retired-00ff.json")
    aside.parent.mkdir(parents=True)
    Path(work.location, SENTINEL).rename(aside)
    assert work.publish(generation=2).job == work.job
    assert_output(work, alone=False)


@pytest.mark.parametrize("seed", range(12))
def test_two_runners_of_one_job_publish_once(storage: Storage, memory_disk: Path, seed: int) -> None:
    work = Work(storage, str(memory_disk / "out"), "job-a").do()
    children = [
        fork(
            lambda generation=generation: work.publish(SaveMode.ERROR, generation=generation, is_live=live),
            root=work.location,
            at_change=dawdle(seed * 10 + generation),
        )
        for generation in (1, 2)
    ]
    codes = [wait(child) for child in children]
    assert set(codes) <= {DONE, CONFLICT, REFUSED}
    assert DONE in codes
    work.publish(SaveMode.ERROR, generation=3)
    assert_output(work)


@pytest.mark.parametrize("seed", range(12))
def test_of_two_jobs_at_one_location_the_output_is_one_of_them_whole(
    storage: Storage, memory_disk: Path, seed: int
) -> None:
    works = [Work(storage, str(memory_disk / "out"), job).do() for job in ("job-a", "job-b")]
    children = [
        fork(
            lambda work=work: work.publish(SaveMode.OVERWRITE, is_live=live if seed % 2 else dead),
            root=work.location,
            at_change=dawdle(seed * 10 + index),
        )
        for index, work in enumerate(works)
    ]
    codes = [wait(child) for child in children]
    assert BROKEN not in codes
    assert DONE in codes
    winner = read_manifest(storage, works[0].location).job
    assert_output(next(work for work in works if work.job == winner), alone=False)
