"""Every contestant over one workload: repetitions interleaved, outputs checked against each other, medians."""

import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness.memory import adopt_orphans, descendants
from benchmarks.harness.process import ROOT, Outcome, Process
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.service import ServiceWorkload
from benchmarks.workloads.workload import BUCKET, FileWorkload, Workload

__all__ = ["Result", "compare", "line", "summary"]


@dataclass
class Result:
    """A contestant's runs.

    Attributes:
        seconds: the median of whole walls.
        runs: all whole walls.
        rate: the median of steady rates, rows a second.
        peak_tree: the largest sum of resident memory at one moment, bytes.
        peak_once: the same with shared pages counted once.
        peak_process: the largest process, bytes.
        processes: how many processes there were at most.
        numbers: medians of what it tells of itself, such as the rate of `LLM.chat` alone.
        phases: medians of the seconds of its phases.
        error: why there is no result.
    """

    seconds: float | None = None
    runs: list[float] = field(default_factory=list)
    rate: float | None = None
    peak_tree: int = 0
    peak_once: int = 0
    peak_process: int = 0
    processes: int = 0
    numbers: dict[str, float] = field(default_factory=dict)
    phases: dict[str, float] = field(default_factory=dict)
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """For the report's last line, without what is not there."""
        rounded = {"seconds": 3, "rate": 1}
        return {
            key: round(value, rounded[key]) if key in rounded else value
            for key, value in asdict(self).items()
            if value not in (None, {})
        }


def compare(
    workload_name: str, contestants: Sequence[str], *, rows: int | None, repeat: int, limit: float
) -> dict[str, Result]:
    """Run the contestants `repeat` times in turn, and print each run.

    Args:
        workload_name: a key of `WORKLOADS`.
        contestants: keys of `CONTESTANTS`.
        rows: rows of the input; None for the workload's full size.
        repeat: how many times.
        limit: seconds one run may take.
    """
    workload = WORKLOADS[workload_name]
    rows = workload.rows if rows is None else rows
    dataset = workload.prepare(rows)
    adopt_orphans()
    outcomes: dict[str, list[Outcome]] = {name: [] for name in contestants}
    print(f"{workload_name}: {rows:,} rows, {repeat} of each", flush=True)
    with (
        _environment(workload) as (server, environment),
        tempfile.TemporaryDirectory(prefix="gristmill-bench-") as scratch,
    ):
        _warm(workload, dataset.inputs, rows)
        besides = frozenset(descendants(os.getpid()))
        process = Process(
            Path(scratch) / "run", environment, besides, limit, server and partial(_first_read, server), workload.look
        )
        for _ in range(repeat):
            for name in contestants:
                outcome = process.run(name, workload_name, dataset)
                outcomes[name].append(outcome)
                print(line(name, outcome), flush=True)
    _agree(outcomes, alike=dataset.alike)
    return {name: summary(runs) for name, runs in outcomes.items()}


@contextmanager
def _environment(workload: Workload) -> Iterator[tuple[str | None, dict[str, str]]]:
    """The server's address, where the workload needs one, and the variables contestants get."""
    if isinstance(workload, ServiceWorkload):
        with _server("benchmarks.openai_server", str(workload.seconds)) as address:
            yield address, {"OPENAI_BASE_URL": f"{address}/v1", "OPENAI_API_KEY": "bench"}
        return
    if not isinstance(workload, FileWorkload) or workload.location is None:
        yield None, {}
        return
    prefix = workload.location.removeprefix(f"s3://{BUCKET}/")
    with _server("benchmarks.s3_server", BUCKET, prefix, str(workload.files)) as address:
        yield (
            address,
            {
                "AWS_ENDPOINT_URL": address,
                "AWS_ACCESS_KEY_ID": "bench",
                "AWS_SECRET_ACCESS_KEY": "bench",
                "AWS_REGION": "us-east-1",
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true",
            },
        )


@contextmanager
def _server(module: str, *arguments: str) -> Iterator[str]:
    """The address of a server that prints it first, until the end."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def _first_read(server: str) -> float:
    request = urllib.request.Request(f"{server}/-/first", headers={"x-benchmark": "1"})
    with urllib.request.urlopen(request) as response:
        return float(response.read())


def _warm(workload: Workload, inputs: Path, rows: int) -> None:
    """Read everything once, so that the first contestant does not pay for the disk."""
    paths = list(inputs.iterdir())
    if isinstance(workload, FileWorkload) and workload.location is None:
        paths += [workload.files / workload.file_name(number) for number in range(rows)]
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 22):
                pass


def _agree(outcomes: dict[str, list[Outcome]], *, alike: float) -> None:
    """Mark runs whose predictions are not those of the first run that has some, or not enough of them."""
    runs = [run for runs in outcomes.values() for run in runs]
    right = next((run.checksum for run in runs if run.checksum), None)
    for run in runs:
        if run.checksum not in (None, right):
            run.error = f"its predictions are not the first contestant's: {run.checksum}, not {right}"
    first = next((run.responses for run in runs if run.responses), None)
    for run in runs:
        if run.responses and first:
            same = sum(one == other for one, other in zip(run.responses, first, strict=True)) / len(first)
            run.numbers["same_answers"] = same
            if same < alike:
                run.error = f"only {same:.3f} of its answers are the first contestant's"


def summary(runs: list[Outcome]) -> Result:
    """Medians of times, maxima of memory."""
    error = next((run.error for run in runs if run.error), None)
    if error:
        return Result(error=error)
    rates = [run.steady for run in runs if run.steady]
    return Result(
        seconds=median(run.seconds for run in runs),
        runs=[round(run.seconds, 3) for run in runs],
        rate=median(rates) if rates else None,
        peak_tree=max(run.peak.tree for run in runs),
        peak_once=max(run.peak.once for run in runs),
        peak_process=max(run.peak.process for run in runs),
        processes=max(run.peak.processes for run in runs),
        numbers=_medians([run.numbers for run in runs]),
        phases=_medians([run.phases for run in runs]),
    )


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(median(run[name] for run in runs), 4) for name in runs[0] if all(name in run for run in runs)}


def line(name: str, outcome: Outcome) -> str:
    """A run for people."""
    if outcome.error:
        return f"  {name:26} failed after {outcome.seconds:.2f} s: {outcome.error}"
    rate = f"{outcome.steady:,.0f} rows/s" if outcome.steady else "-"
    return f"  {name:26} {outcome.seconds:8.2f} s {rate:>20} {outcome.peak.tree / 1e6:8,.0f} MB"
