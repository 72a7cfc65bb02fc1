"""One run of one contestant: a fresh interpreter, from its start to its exit."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.harness.memory import Peak, TreeSampler, descendants
from benchmarks.harness.steady import MARKS, Report, steady_seconds
from benchmarks.harness.told import TOLD, Told
from benchmarks.harness.verify import WrongOutputError, checksum, responses
from benchmarks.workloads.workload import Dataset

__all__ = ["Outcome", "Process"]

ROOT = Path(__file__).resolve().parents[2]
QUIET = {
    "DAFT_ANALYTICS_ENABLED": "0",
    "DAFT_PROGRESS_BAR": "0",
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "SCARF_NO_ANALYTICS": "1",
}


@dataclass
class Outcome:
    """One run.

    Attributes:
        seconds: from the start of the process to its exit.
        rows: rows that it says it wrote.
        steady: rows a second while rows flowed, or None.
        peak: resident memory.
        checksum: of the predictions, where they must be the same for everybody.
        responses: the predictions, where most of them must.
        numbers: what the contestant tells of itself.
        phases: seconds of each of its phases.
        error: why there is no result.
    """

    seconds: float = 0.0
    rows: int = 0
    steady: float | None = None
    peak: Peak = field(default_factory=Peak)
    checksum: str | None = None
    responses: list[str] | None = None
    numbers: dict[str, float] = field(default_factory=dict)
    phases: dict[str, float] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class Process:
    """How contestants are run.

    Attributes:
        scratch: a folder that is emptied before each run.
        environment: variables besides this process' own.
        besides: processes whose memory does not count.
        limit: seconds after which a contestant is ended.
        first_read: the time of the first read since it was last asked, where a server can tell.
        look: seconds between looks at the memory of all processes.
    """

    scratch: Path
    environment: dict[str, str]
    besides: frozenset[int]
    limit: float
    first_read: Callable[[], float] | None = None
    look: float = 0.05

    def run(self, contestant: str, workload: str, dataset: Dataset) -> Outcome:
        """Run a contestant once, and look at what it wrote."""
        output = self.scratch / "output"
        arguments = {"workload": workload, "rows": dataset.rows, "output": str(output)}
        if self.first_read:
            self.first_read()
        outcome = self.measure("benchmarks.contestants", contestant, json.dumps(arguments))
        if outcome.error is None:
            try:
                if dataset.alike < 1:
                    outcome.responses = responses(output, dataset)
                else:
                    outcome.checksum = checksum(output, dataset)
            except WrongOutputError as error:
                outcome.error = str(error)
            first_read = self.first_read() if self.first_read else None
            seconds = steady_seconds(self.marks, output, first_read=first_read)
            outcome.steady = dataset.rows / seconds if seconds else None
        return outcome

    @property
    def marks(self) -> Path:
        """Where processes leave a mark when they first call the model."""
        return self.scratch / "marks"

    @property
    def told(self) -> Path:
        """Where a contestant leaves what it has `Told`."""
        return self.scratch / "told.json"

    @property
    def report(self) -> Path:
        """Where a process that writes no output leaves its `Report`."""
        return self.scratch / "report.json"

    def measure(self, module: str, *arguments: str) -> Outcome:
        """Run a module once, in an empty scratch folder."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        for name in ("marks", "home"):
            (self.scratch / name).mkdir(parents=True)
        os.sync()
        log = self.scratch / "log.txt"
        outcome = Outcome()
        with log.open("wb") as stream:
            sampler = TreeSampler(self.besides, self.look)
            sampler.start()
            start, started = time.monotonic(), time.time()
            child = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=ROOT, env=self._environment(), stdout=stream, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip
            timer = threading.Timer(self.limit, child.kill)  # `wait` with a time-out would poll, 50 ms apart
            timer.start()
            code = child.wait()
            outcome.seconds, ended = time.monotonic() - start, time.time()
            timer.cancel()
            outcome.peak = sampler.stop()
            self._end_leftovers()
        told = Told.read(self.told)
        if told.ends:
            told.numbers["seconds_until_done"] = max(told.ends.values()) - started
            told.phase("exit", ended)
        outcome.numbers, outcome.phases = told.numbers, told.phases(started)
        if code != 0:
            lines = log.read_text(errors="replace").strip().splitlines()
            outcome.error = "\n".join(lines[-12:]) or f"exit code {code}"
        elif self.report.is_file():
            report = Report.read(self.report)
            outcome.rows = report.rows
            outcome.steady = report.rows / report.seconds if report.seconds else None
        return outcome

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            **QUIET,
            **self.environment,
            "PYTHONPATH": str(ROOT),
            "GRISTMILL_HOME": str(self.scratch / "home"),
            MARKS: str(self.marks),
            TOLD: str(self.told),
        }

    def _end_leftovers(self) -> None:
        """Give what a contestant left ten seconds to end by itself, then end it."""
        deadline = time.monotonic() + 10
        while left := descendants(os.getpid(), self.besides):
            for pid in left:
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
            self._reap()
            time.sleep(0.05)
        self._reap()

    def _reap(self) -> None:
        """Take the exit codes of adopted processes."""
        for pid in self.orphans():
            os.waitpid(pid, os.WNOHANG)

    def orphans(self) -> list[int]:
        """Ended children that nobody waited for."""
        ended = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) not in self.besides:
                try:
                    state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                except OSError:
                    continue
                if state == "Z" and int(parent) == os.getpid():
                    ended.append(int(entry.name))
        return ended
