"""A loop written by hand on pyarrow and the model, tuned: one process, or several forked after the imports."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.workloads.service import ServiceWorkload
from benchmarks.workloads.workload import Dataset, FileWorkload, Workload

__all__ = ["run"]

Group = tuple[Path, int]
"""A row group: a file and the group's number in it."""


def run(workload: Workload, dataset: Dataset, output: Path, *, processes: int) -> None:
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
        child = os.fork()
        if child == 0:
            work(groups[number * share : (number + 1) * share], output / f"part-{number}.parquet")
            os._exit(0)
        children.append(child)
    work(groups[:share], output / "part-0.parquet")
    for child in children:
        if os.waitpid(child, 0)[1] != 0:
            raise SystemExit("a process failed")


def _work(workload: Workload) -> Callable[[Sequence[Group], Path], None]:
    """What a process does with its row groups; all imports are done when it is returned."""
    if isinstance(workload, FileWorkload):
        from benchmarks.contestants.raw_files import worker
    elif isinstance(workload, ServiceWorkload):
        from benchmarks.contestants.raw_chats import worker
    else:
        from benchmarks.contestants.raw_tables import worker
    return worker(workload)
