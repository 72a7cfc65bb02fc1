"""Jobs that are killed for real, in mid-work."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gristmill
from gristmill.jobs.record import JobRecord
from gristmill.settings import Settings
from gristmill.storage.storage import Storage
from tests.processes import command, family

ROWS = 600
GROUP = 50

_CLIENT = """
import json, sys
import gristmill
call = json.loads(sys.argv[1])
job = gristmill.run_batch(
    "echo:", input_location=call["input"], compute_pool="local", inference_engine_options=call["echo"],
    output_spec=gristmill.OutputSpec(location=call["output"], mode="overwrite"),
    job_spec=gristmill.JobSpec(**call["job"]),
)
print(job.id, flush=True)
print(job.wait().value, flush=True)
"""


@dataclass
class Victim:
    """A job over 600 rows in several shards, slow enough to be caught in the middle, whose calls are logged."""

    root: Path
    settings: Settings

    @property
    def storage(self) -> Storage:
        return Storage(self.settings)

    @property
    def output(self) -> Path:
        return self.root / "output"

    def prepare(self) -> None:
        folder = self.root / "input"
        folder.mkdir()
        for at in range(0, ROWS, GROUP):
            pq.write_table(pa.table({"id": range(at, at + GROUP)}), folder / f"{at:05d}.parquet")

    def call(self, *, delay: float = 0.3, echo: dict[str, Any] | None = None, **job: Any) -> dict[str, Any]:
        """The request as plain data."""
        return {
            "input": str(self.root / "input"),
            "output": str(self.output),
            "echo": {"column": "id", "delay": delay, "log": str(self.root / "calls"), **(echo or {})},
            "job": {"job_name": "victim", "max_batch_rows": 10, **job},
        }

    def submit(self, call: dict[str, Any]) -> gristmill.Job:
        return gristmill.run_batch(
            "echo:",
            input_location=call["input"],
            compute_pool="local",
            inference_engine_options=call["echo"],
            output_spec=gristmill.OutputSpec(location=call["output"], mode="overwrite"),
            job_spec=gristmill.JobSpec(**call["job"]),
            settings=self.settings,
        )

    def client(self, call: dict[str, Any]) -> "subprocess.Popen[str]":
        """A client process of its own."""
        return subprocess.Popen(
            [sys.executable, "-c", _CLIENT, json.dumps(call)], stdout=subprocess.PIPE, text=True, cwd=self.root
        )

    def calls(self) -> Counter[int]:
        """How often the engine was called for each row."""
        files = (self.root / "calls").glob("*.log")
        return Counter(int(line) for file in files for line in file.read_text().splitlines())

    def committed(self, job: gristmill.Job) -> set[int]:
        """The rows whose shards have committed."""
        from gristmill.outputs.commit import CommitLog
        from gristmill.outputs.layout import parts_of

        request = job.request
        log = CommitLog(self.storage, request.staging, generation=0)
        rows: set[int] = set()
        for segment in log.segments():
            for commit in segment:
                if commit.file is not None:
                    rows |= set(pq.read_table(f"{parts_of(request.staging)}/{commit.file}")["id"].to_pylist())
        return rows

    def runner(self, job: gristmill.Job) -> int:
        """The runner's process id."""
        until(lambda: (job.progress() or None) is not None)
        progress = job.progress()
        assert progress is not None
        return int(progress.process["pid"])

    def worker_pids(self, job: gristmill.Job) -> list[int]:
        """The processes that hold the model: forked from the runner, or from its fork server."""
        runner, *below = family(self.runner(job))
        children = {child.pid for child in runner.children()}
        forked = [one.pid for one in below if one.pid in children and command(one) == command(runner)]
        return forked + [one.pid for one in below if one.pid not in children]

    def assert_output_is_right(self) -> None:
        rows = gristmill.read_output(self.output, settings=self.settings).to_pylist()
        assert [row["id"] for row in rows] == list(range(ROWS))
        assert all(row["echo"] == row["id"] for row in rows)

    def record(self, job: gristmill.Job) -> JobRecord:
        return JobRecord(self.storage, str(self.settings.home), job.id)


def until(condition: Callable[[], Any], *, seconds: float = 180) -> None:
    """Wait for something that must come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def victim(tmp_path: Path, settings: Settings) -> Victim:
    found = Victim(tmp_path, settings)
    found.prepare()
    return found
