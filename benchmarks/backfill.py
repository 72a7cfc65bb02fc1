"""Backfill: forty partitions in one run of Dagster, beside the same jobs without it, and a loop in the step by hand."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PARTITIONS = 40
ROWS = 10_000
AT_ONCE = 2
ALLOWED = 1.15
"""What is allowed: our wall over that of the same jobs without Dagster."""


def write_input(folder: Path, keys: list[str]) -> None:
    """A Parquet file of so many rows for each partition."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for number, key in enumerate(keys):
        (folder / "in" / key).mkdir(parents=True)
        pq.write_table(pa.table({"id": range(number * ROWS, (number + 1) * ROWS)}), folder / "in" / key / "0.parquet")


def _asset(folder: Path, keys: list[str]) -> Any:
    import dagster as dg

    from dagster_gristmill import batch_inference_asset

    return batch_inference_asset(
        "out",
        model="echo:",
        input_location=f"{folder}/in/{{partition}}",
        output_spec={"location": f"{folder}/out/{{partition}}"},
        inference_engine_options={"column": "id"},
        partitions_def=dg.StaticPartitionsDefinition(keys),
        backfill_policy=dg.BackfillPolicy.single_run(),
        partitions_at_once=AT_ONCE,
    )


def _run(folder: Path, keys: list[str], asset: Any, *, resources: dict[str, Any]) -> None:
    import dagster as dg

    job = dg.Definitions([asset], resources=resources).resolve_implicit_global_asset_job_def()
    tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    (folder / "instance").mkdir(exist_ok=True)
    with dg.DagsterInstance.local_temp(str(folder / "instance")) as instance:
        began = time.perf_counter()
        assert job.execute_in_process(instance=instance, tags=tags).success
        print(json.dumps({"wall": time.perf_counter() - began}))


def dagster(folder: Path, keys: list[str]) -> None:
    """Ours: one job for each partition, two at once, each with its checks."""
    from dagster_gristmill import GristmillResource

    _run(folder, keys, _asset(folder, keys), resources={"gristmill": GristmillResource()})


def again(folder: Path, keys: list[str]) -> None:
    """The same over partitions that are done."""
    dagster(folder, keys)


def jobs(folder: Path, keys: list[str]) -> None:
    """The same jobs from a loop, without Dagster."""
    from gristmill import OutputSpec, run_batch

    began = time.perf_counter()
    live: list[Any] = []
    for key in keys:
        if len(live) == AT_ONCE:
            live.pop(0).wait()
        live.append(
            run_batch(
                "echo:",
                input_location=f"{folder}/in/{key}",
                output_spec=OutputSpec(location=f"{folder}/out/{key}"),
                inference_engine_options={"column": "id"},
                key=f"out:{key}",
            )
        )
    for job in live:
        job.wait()
    print(json.dumps({"wall": time.perf_counter() - began}))


def by_hand(folder: Path, keys: list[str]) -> None:
    """A step that reads, computes and writes itself, with nothing that outlives it."""
    import dagster as dg
    import pyarrow.parquet as pq

    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(keys), backfill_policy=dg.BackfillPolicy.single_run())
    def out(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
        for key in context.partition_keys:
            table = pq.read_table(folder / "in" / key)
            (folder / "out" / key).mkdir(parents=True)
            pq.write_table(table.append_column("echo", table["id"]), folder / "out" / key / "0.parquet")
        yield dg.MaterializeResult(metadata={"rows": ROWS * len(keys)})

    _run(folder, keys, out, resources={})


CONTESTANTS: dict[str, Callable[[Path, list[str]], None]] = {
    function.__name__: function for function in (dagster, again, jobs, by_hand)
}


def main() -> None:
    """Each contestant in a process of its own; the medians of some rounds, and their ratio."""
    from benchmarks.harness.report import arguments

    parser = arguments("The benchmark backfill; --rows is the number of partitions.")
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    keys = [f"part-{number:05}" for number in range(options.rows or PARTITIONS)]
    if options.contestant:
        CONTESTANTS[options.contestant](options.folder, keys)
        return
    rounds: dict[str, list[float]] = {name: [] for name in options.only or CONTESTANTS}
    for _ in range(options.repeat):
        for name, found in rounds.items():
            with tempfile.TemporaryDirectory(prefix="gristmill-bench-") as folder:
                write_input(Path(folder), keys)
                if name == "again":
                    _measured("dagster", folder, options)
                found.append(_measured(name, folder, options))
            print(f"{name:<8} {found[-1]:.2f} s, {1000 * found[-1] / len(keys):.0f} ms each", flush=True)
    medians = {name: round(sorted(found)[len(found) // 2], 2) for name, found in rounds.items()}
    over = medians["dagster"] / medians["jobs"] if {"dagster", "jobs"} <= medians.keys() else None
    print(
        json.dumps(
            {
                "benchmark": "backfill",
                "ratio": None if over is None else round(over / ALLOWED, 3),
                "over_jobs": None if over is None else round(over, 3),
                "partitions": len(keys),
                **medians,
            }
        )
    )


def _measured(name: str, folder: str, options: argparse.Namespace) -> float:
    command = ["-m", "benchmarks.backfill", "--contestant", name, "--folder", folder, "--rows"]
    done = subprocess.run(
        [sys.executable, *command, str(options.rows or PARTITIONS)],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "GRISTMILL_HOME": f"{folder}/home", "DAGSTER_DISABLE_TELEMETRY": "yes"},
    )
    return float(json.loads(done.stdout.splitlines()[-1])["wall"])


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    main()
