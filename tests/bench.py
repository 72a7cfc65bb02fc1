"""What tests of a real server work on: rows, the calls that came of them, and the jobs."""

import json
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

import gristmill
from gristmill.jobs.handle import Job
from gristmill.settings import Settings
from tests.processes import family


class Bench:
    """One test's folder, and the jobs whose outputs stand below it.

    Args:
        folder: the test's own.
        home: where the server's jobs live.
    """

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.settings = Settings(home=str(home))

    def rows(self, name: str = "input", *, first: int = 0, count: int = 40, files: int = 4, **columns: Any) -> Path:
        """A folder of Parquet with a column `id` and constant ones, a shard for each file."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        size = -(-count // files)
        for number, at in enumerate(range(first, first + count, size)):
            ids = range(at, min(at + size, first + count))
            constant = {column: [value] * len(ids) for column, value in columns.items()}
            pq.write_table(pa.table({"id": pa.array(ids, pa.int64()), **constant}), folder / f"{number:03d}.parquet")
        return folder

    def calls(self) -> Counter[int]:
        """How often each row was computed."""
        files = (self.folder / "calls").glob("*.log")
        return Counter(int(line) for file in files for line in file.read_text().splitlines())

    def output(self, name: str = "one-out") -> list[int]:
        """What a finished output says of its rows, in their order."""
        found = gristmill.read_output(self.folder / name, settings=self.settings)
        return list(found["echo"].to_pylist())

    def jobs(self, below: str = "") -> list[Job]:
        """Every job in the server's home whose output stands in this folder, the oldest first."""
        at = str(self.folder / below)
        listed = gristmill.list_jobs(-1, settings=self.settings).collect()
        found = [row for row in listed if row["location"] == at or row["location"].startswith(f"{at}/")]
        return [gristmill.get_job(row["id"], settings=self.settings) for row in reversed(found)]

    def job(self, below: str = "") -> Job:
        """The only one."""
        (found,) = self.jobs(below)
        return found

    def started(self, below: str = "", *, rows: int = 1) -> Job:
        """The only job, once it has been seen to compute so many rows."""
        until(lambda: sum(self.calls().values()) >= rows and self.jobs(below), "no job computes its rows")
        job = self.job(below)
        until(lambda: job.progress() is not None, "the runner shows no progress")
        return job


def generations(job: Job) -> int:
    """How many runs a job has had: each resume is one more."""
    run = job.record.latest()
    return 0 if run is None else run.generation


def runner_of(job: Job) -> list[psutil.Process]:
    """The runner's process and those that it has started; empty once it is gone."""
    progress = job.progress()
    assert progress is not None
    return family(int(progress.process["pid"]))


def until(look: Callable[[], Any], complaint: str, *, seconds: float = 60.0, pause: float = 0.1) -> Any:
    """What a look finds, once it finds something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"{complaint}, after {seconds:g} s"
        time.sleep(pause)
    return found


def overlap(spans: list[tuple[datetime, datetime]]) -> int:
    """The most of these that run at one moment."""
    steps = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    return max((sum(step for _, step in steps[: at + 1]) for at in range(len(steps))), default=0)


def moment(text: str) -> datetime:
    """A time that the API gave."""
    return datetime.fromisoformat(text)


def as_text(found: Any) -> str:
    """All that an answer of the API holds, to search in."""
    return json.dumps(found, default=str)
