"""A loop written by hand on pyarrow and the model, tuned: one process, or several forked after the imports."""

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.steady import Steady
from benchmarks.workloads.workload import Dataset, FileWorkload, Workload

__all__ = ["run"]

Group = tuple[Path, int]
"""A row group: a file and the group's number in it."""


def run(workload: Workload, dataset: Dataset, output: Path, *, processes: int) -> Steady:
    """Do the whole work in `processes` processes, this one among them."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # the readers and writers have use for the other core
    if processes > 1:
        os.environ["OMP_NUM_THREADS"] = "1"
    import pyarrow.parquet as pq

    work = _work(workload)
    paths = sorted(dataset.inputs.glob("*.parquet"))
    groups = [(path, number) for path in paths for number in range(pq.read_metadata(path).num_row_groups)]
    output.mkdir(parents=True)
    share = -(-len(groups) // processes)
    children = []
    for number in range(1, processes):
        reader, writer = os.pipe()
        if os.fork() == 0:
            times = work(groups[number * share : (number + 1) * share], output / f"part-{number}.parquet")
            os.write(writer, json.dumps(times).encode())
            os._exit(0)
        os.close(writer)
        children.append(reader)
    times = [work(groups[:share], output / "part-0.parquet")]
    for reader in children:
        with os.fdopen(reader) as pipe:
            times.append(json.loads(pipe.read()))
    starts, ends = zip(*(pair for pair in times if pair), strict=True)
    return Steady(dataset.rows, max(ends) - min(starts))


def _work(workload: Workload) -> Callable[[Sequence[Group], Path], Any]:
    """What a process does with its row groups; all imports are done when it is returned."""
    if isinstance(workload, FileWorkload):
        from benchmarks.contestants.raw_files import worker
    else:
        from benchmarks.contestants.raw_tables import worker
    work = worker(workload)

    def timed(groups: Sequence[Group], target: Path) -> tuple[float, float] | None:
        if not groups:
            return None
        start = time.monotonic()
        work(groups, target)
        return start, time.monotonic()

    return timed
