"""Triggers: a thousand tasks that wait for their jobs in one event loop, as in one of Airflow's triggerers."""

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

JOBS = 1_000
SECONDS = 60.0
PAUSE = 10.0
"""Between two looks at one job."""
LAG = 0.1
CPU = 3.0
"""What is allowed: the longest that the loop is held up, and our CPU time for a look over that of the bare trigger."""
WARM = 20.0
"""Seconds for the triggers to start in, and to come to look less often."""
_TICK = 0.005


def write_jobs(home: Path, count: int) -> list[str]:
    """Records of jobs that run, as far as their records tell, for as long as this process does."""
    from gristmill.jobs.process import this_process
    from gristmill.jobs.record import Claim, JobRecord, Progress, State
    from gristmill.settings import Settings
    from gristmill.spec.enums import JobStatus, SaveMode
    from gristmill.spec.job import JobSpec
    from gristmill.spec.request import InputSource, JobRequest, RunRequest
    from gristmill.storage.storage import Storage

    storage = Storage(Settings.load(home=str(home)))
    ids = [f"job-{number:05}" for number in range(count)]
    for name in ids:
        record = JobRecord(storage, str(home), name)
        record.create(
            JobRequest(
                name=name, key=name, model="echo:", engine="echo", function="echo", location=f"/{name}", owner="bench",
                source=InputSource(kind="location", text="/in", format="parquet"), input_schema="", staging="/staging",
                created=time.time(), shards=100,
            )
        )  # fmt: skip
        how = RunRequest(job_spec=JobSpec(), pool="local", mode=SaveMode.OVERWRITE)
        run = record.claim(Claim(how, "bench", "here", time.time(), process=this_process()), after=0)
        assert run is not None
        run.write_state(State(JobStatus.RUNNING, "running", time.time()))
        run.write_progress(Progress(time.time(), this_process(), rows=10, rows_total=1_000, rate=5.0, eta=198.0))
    return ids


async def gristmill(home: Path, name: str) -> None:  # noqa: ARG001 - the settings have it
    """Our trigger; nothing ever ends it."""
    from airflow_gristmill.job_trigger import BatchJobTrigger

    async for _ in BatchJobTrigger(name, poll_interval=PAUSE, log_interval=3600.0).run():
        pass


async def bare(home: Path, name: str) -> None:
    """A trigger by hand: reads the state, in a thread, and judges nothing."""
    state = home / "jobs" / name / "runs" / "000001" / "state.json"
    began = time.time()
    while json.loads(await asyncio.to_thread(state.read_bytes))["status"] == "RUNNING":  # noqa: ASYNC110 - a file
        await asyncio.sleep(min(PAUSE, max(0.5, 0.1 * (time.time() - began))))


async def blocking(home: Path, name: str) -> None:
    """The same, read in the loop's own thread, as some providers' triggers do."""
    state = home / "jobs" / name / "runs" / "000001" / "state.json"
    began = time.time()
    while json.loads(state.read_bytes())["status"] == "RUNNING":  # noqa: ASYNC110 - a file
        await asyncio.sleep(min(PAUSE, max(0.5, 0.1 * (time.time() - began))))


CONTESTANTS = {function.__name__: function for function in (gristmill, bare, blocking)}


async def watch(contestant: str, home: Path, names: list[str], seconds: float) -> dict[str, float]:
    """Run the triggers beside a clock that ticks in their loop."""
    lags: list[float] = []

    async def tick() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(_TICK)
            lags.append(time.perf_counter() - before - _TICK)

    with contextlib.suppress(Exception):  # what Airflow imports for it, a triggerer has imported long before
        from airflow.sdk import BaseHook

        await BaseHook.aget_connection("none")
    clock = asyncio.create_task(tick())
    began = time.process_time()
    tasks = []
    for name in names:
        tasks.append(asyncio.create_task(CONTESTANTS[contestant](home, name)))
        await asyncio.sleep(0)  # as a triggerer does between two
    await asyncio.sleep(WARM)
    started = time.process_time()
    at_start = max(lags)
    lags.clear()
    await asyncio.sleep(seconds)
    used = time.process_time() - started
    failed = [task.exception() for task in tasks if task.done()]
    assert not failed, failed[0]
    for task in [clock, *tasks]:
        task.cancel()
    ordered = sorted(lags)
    return {
        "start_ms_per_job": 1000 * (started - began) / len(names),
        "start_lag_longest_ms": 1000 * at_start,
        "cpu_ms_per_job_minute": 1000 * used / len(names) * 60 / seconds,
        "lag_median_ms": 1000 * ordered[len(ordered) // 2],
        "lag_p99_ms": 1000 * ordered[int(0.99 * len(ordered))],
        "lag_longest_ms": 1000 * ordered[-1],
    }


def main() -> None:
    """Each contestant in a process of its own; the medians of some rounds, and their ratios."""
    from benchmarks.harness.report import arguments

    parser = arguments("The benchmark triggers; --rows is the number of jobs that are waited for.")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="seconds that are measured, after the start")
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        names = write_jobs(options.home, options.rows or JOBS)
        print(json.dumps(asyncio.run(watch(options.contestant, options.home, names, options.seconds))))
        return
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in options.only or CONTESTANTS}
    for _ in range(options.repeat):
        for name, found in rounds.items():
            with tempfile.TemporaryDirectory(prefix="gristmill-bench-") as home:
                found.append(_measured(name, home, options))
            print(f"{name:<10}", *(f"{key} {value:.2f}" for key, value in found[-1].items()), flush=True)
    results = {name: _median(found) for name, found in rounds.items()}
    ratios = {}
    if "gristmill" in results:
        ratios["lag"] = results["gristmill"]["lag_longest_ms"] / 1000 / LAG
    if {"gristmill", "bare"} <= set(results):
        ratios["cpu"] = results["gristmill"]["cpu_ms_per_job_minute"] / results["bare"]["cpu_ms_per_job_minute"] / CPU
    rounded = {name: round(value, 3) for name, value in ratios.items()}
    print(json.dumps({"benchmark": "triggers", "ratio": max(rounded.values(), default=None), **rounded, **results}))


def _measured(name: str, home: str, options: argparse.Namespace) -> dict[str, float]:
    import os

    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.triggers", "--contestant", name, "--home", home),
            *("--rows", str(options.rows or JOBS), "--seconds", str(options.seconds)),
        ],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "GRISTMILL_HOME": home},
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _median(found: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(sorted(one[key] for one in found)[len(found) // 2], 2) for key in found[0]}


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    main()
