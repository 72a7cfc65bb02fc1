"""Plan: 100,000 files planned, and a million shards through the coordinator with stub replicas."""

import sys
from pathlib import Path

FILES = 100_000
SHARDS = 1_000_000
SECONDS, BYTES = 60.0, 1024**3
SHARDS_A_SECOND = 2_000
GROWTH = 1.1
"""What is allowed: time and memory to plan, the coordinator's rate, and its memory against a tenth of the shards."""


def write_files(folder: Path, count: int) -> None:
    """Parquet files of one row, a thousand in each folder."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": [0], "value": [0.5]}), folder.with_suffix(".parquet"))
    content = folder.with_suffix(".parquet").read_bytes()
    for number in range(count):
        if number % 1000 == 0:
            (folder / f"day={number // 1000:04}").mkdir(parents=True, exist_ok=True)
        path = folder / f"day={number // 1000:04}" / f"part-{number:06}.parquet"
        if not path.exists():
            path.write_bytes(content)


def main() -> None:
    """Measure both, and print the report."""
    import os
    import tempfile

    from benchmarks.harness.compare import line, summary
    from benchmarks.harness.memory import adopt_orphans, descendants
    from benchmarks.harness.process import Process
    from benchmarks.harness.report import arguments, last_line, table
    from benchmarks.workloads.workload import DATA

    options = arguments("The benchmark plan; --rows scales files and, ten times as many, shards.").parse_args()
    files = options.rows or FILES
    shards = 10 * files
    folder = DATA / "plan" / str(files)
    write_files(folder, files)
    adopt_orphans()
    runs: dict[str, list] = {"plan": [], "coordinate_tenth": [], "coordinate": []}
    with tempfile.TemporaryDirectory(prefix="gristmill-bench-") as scratch:
        process = Process(Path(scratch) / "run", {}, frozenset(descendants(os.getpid())), options.limit)
        what = {
            "plan": ("plan", str(process.report), str(folder), str(process.scratch / "plan.parquet")),
            "coordinate_tenth": (
                "coordinate",
                str(process.report),
                str(shards // 10),
                str(process.scratch / "staging"),
            ),
            "coordinate": ("coordinate", str(process.report), str(shards), str(process.scratch / "staging")),
        }
        for _ in range(options.repeat):
            for name in options.only or what:
                outcome = process.measure("benchmarks.contestants.planning", *what[name])
                if name == "plan" and not outcome.error and outcome.rows != files:
                    outcome.error = f"{outcome.rows:,} files are planned, not {files:,}"
                runs[name].append(outcome)
                print(line(name, outcome), flush=True)
    results = {name: summary(outcomes) for name, outcomes in runs.items() if outcomes}
    print(table(results))
    last_line("plan", _ratios(results), results)


def _ratios(results: dict) -> dict[str, float | None]:
    """Each against what is allowed; `ratio` is the worst of them."""
    ratios = {}
    planned, tenth, whole = (results.get(name) for name in ("plan", "coordinate_tenth", "coordinate"))
    if planned and planned.seconds:
        ratios["planning_seconds"] = planned.seconds / SECONDS
        ratios["planning_memory"] = planned.peak_tree / BYTES
    if whole and whole.rate:
        ratios["coordinating_rate"] = SHARDS_A_SECOND / whole.rate
    if whole and tenth and whole.seconds and tenth.seconds:
        ratios["coordinating_memory"] = whole.peak_tree / tenth.peak_tree / GROWTH
    rounded = {name: round(value, 3) for name, value in ratios.items()}
    return {"ratio": max(rounded.values(), default=None), **rounded}


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    main()
