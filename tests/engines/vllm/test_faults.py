"""Jobs on real vLLM whose processes are killed in mid-generation, or that cannot start."""

import json
import os
import re
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.engines.vllm.processors import DEADLY_SEED

import gristmill
from gristmill import JobStatus, Settings

ROOT = Path(__file__).parents[3]
ROWS = 96
FILE = 24
TOKENS = 16
KILLER = 53
STEPS = 10


def conversation(row: int) -> list[dict[str, Any]]:
    return [{"role": "user", "content": f"What is {row} and {row * row}?"}]


def until(condition: Callable[[], Any], *, seconds: float = 120) -> None:
    """Wait for something that must come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def gone(pids: list[int]) -> bool:
    """Whether none of these processes runs."""
    return not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)


@dataclass
class Work:
    """A job of 96 chats in four files, on an engine that takes its time and tells of each step."""

    model: str
    root: Path
    settings: Settings
    monkeypatch: pytest.MonkeyPatch
    name: str = "work"
    rows: int = ROWS
    killer: int | None = None

    def prepare(self) -> Path:
        """Write the input."""
        self.steps.mkdir(parents=True, exist_ok=True)
        self.monkeypatch.setenv("GRISTMILL_TEST_STEPS", str(self.steps))
        folder = self.root / f"{self.name}-input"
        folder.mkdir()
        for at in range(0, self.rows, FILE):
            rows = range(at, at + FILE)
            table = {
                "row": rows,
                "messages": [json.dumps(conversation(row)) for row in rows],
                "seed": pa.array([DEADLY_SEED if row == self.killer else None for row in rows], pa.int64()),
            }
            pq.write_table(pa.table(table), folder / f"{at:04d}.parquet")
        return folder

    def submit(self, *arguments: str, **options: Any) -> gristmill.Job:
        folder = self.root / f"{self.name}-input"
        if not folder.exists():
            self.prepare()
        return gristmill.run_batch(
            f"hf:{self.model}",
            input_location=str(folder),
            compute_pool="local",
            output_spec=gristmill.OutputSpec(location=self.output, mode="overwrite"),
            input_spec=gristmill.InputSpec(params={"temperature": 0, "max_completion_tokens": TOKENS}),
            job_spec=gristmill.JobSpec(job_name=self.name, on_error="record"),
            inference_engine_options={
                "engine": "vllm",
                "engine_args_override": [
                    "--dtype=float32",
                    "--enforce-eager",
                    "--max-num-seqs=16",
                    "--logits-processors=tests.engines.vllm.processors:Slow",
                    *arguments,
                ],
                "param_columns": ["seed"],
                **options,
            },
            settings=self.settings,
        )

    @property
    def output(self) -> Path:
        return self.root / f"{self.name}-output"

    @property
    def steps(self) -> Path:
        return self.root / "steps"

    def engines(self) -> list[int]:
        """The processes in which the model has run for some steps."""
        return [int(file.name) for file in self.steps.iterdir() if file.stat().st_size >= STEPS]

    def at_work(self, job: gristmill.Job) -> int:
        """The process in which the model runs now, as soon as it is in mid-generation."""
        found: list[int] = []

        def there() -> bool:
            assert job.status in (JobStatus.PENDING, JobStatus.RUNNING), job.message
            found[:] = set(self.engines()) & set(processes_of(job))
            return bool(found)

        until(there)
        return found[0]

    def found(self) -> list[dict[str, Any]]:
        return gristmill.read_output(self.output, settings=self.settings, text=True).to_pylist()


@pytest.fixture
def make(llama: str, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Work]:
    for name, value in {
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda **more: Work(llama, tmp_path, settings, monkeypatch, **more)


@pytest.fixture(scope="module")
def unharmed(llama: str, answers: Callable[..., list[str]]) -> list[str]:
    """What vLLM says to each conversation."""
    return answers(llama, [conversation(row) for row in range(2 * ROWS)], temperature=0, max_tokens=TOKENS)


def processes_of(job: gristmill.Job) -> list[int]:
    """The runner of a job, once it has begun, and everything below it."""
    progress = job.progress()
    if progress is None or not psutil.pid_exists(pid := int(progress.process["pid"])):
        return []
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def test_a_killed_worker_and_a_row_that_kills_cost_nobody_else_a_row(
    make: Callable[..., Work], unharmed: list[str]
) -> None:
    work = make(killer=KILLER)
    job = work.submit()
    os.kill(work.at_work(job), signal.SIGKILL)
    assert job.wait(240) is JobStatus.DONE, job.message
    rows = work.found()
    assert [row["row"] for row in rows] == list(range(ROWS))
    assert [row["row"] for row in rows if row["_error"] is not None] == [KILLER]
    assert rows[KILLER]["_error"]["type"] == "WorkerDied"
    assert "SIGKILL" in rows[KILLER]["_error"]["message"]
    for row in rows:
        if row["row"] != KILLER:
            assert row["response"] == unharmed[row["row"]]
    assert len(re.findall(r"worker \d+ died", str(job.get_logs()))) <= 8


def test_the_death_of_vllms_own_process_is_survived_and_cancelling_ends_all_of_them(make: Callable[..., Work]) -> None:
    work = make(rows=2_000)
    job = work.submit(engine_mode="own_process")
    first = work.at_work(job)
    assert first not in psutil.Process(processes_of(job)[0]).children()  # it is the worker's child
    os.kill(first, signal.SIGKILL)
    until(lambda: set(work.engines()) - {first})
    assert job.status is JobStatus.RUNNING
    there = processes_of(job)
    assert work.at_work(job) in there
    job.cancel()
    assert job.wait(30) is JobStatus.CANCELLED
    until(lambda: gone(there), seconds=30)
    assert not (work.output / "_SUCCESS").exists()


def test_a_killed_runner_harms_no_other_job_and_its_own_goes_on_where_it_was(
    make: Callable[..., Work], unharmed: list[str]
) -> None:
    one, other = make(name="one", rows=2 * ROWS), make(name="other", rows=2 * ROWS)
    one.prepare()
    other.prepare()
    with ThreadPoolExecutor() as pool:  # each waits for its runner to check the request
        jobs = list(pool.map(Work.submit, (one, other)))
    worker = one.at_work(jobs[0])
    runner = processes_of(jobs[0])[0]
    os.kill(runner, signal.SIGKILL)
    until(lambda: gone([runner, worker]))
    again = one.submit()
    assert again.id == jobs[0].id
    assert [job.wait(240) for job in (again, jobs[1])] == [JobStatus.DONE] * 2, (again.message, jobs[1].message)
    for work in (one, other):
        rows = work.found()
        assert [row["row"] for row in rows] == list(range(2 * ROWS))
        assert [row["response"] for row in rows] == unharmed


def test_a_cache_over_the_memory_fails_the_job_at_once_with_advice(make: Callable[..., Work]) -> None:
    work = make()
    work.monkeypatch.delenv("VLLM_CPU_KVCACHE_SPACE")
    job = work.submit("--kv-cache-memory-bytes=100T")
    assert job.wait(240) is JobStatus.FAILED
    assert "--kv-cache-memory-bytes" in job.message
    assert "--max-model-len" in job.message
    assert not re.search(r"worker \d+ died", str(job.get_logs()))
    assert not (work.output / "_SUCCESS").exists()


def test_a_cache_too_small_for_the_context_fails_the_job_with_advice(llama: str, run_job: Callable[..., Any]) -> None:
    outcome = run_job(llama, pa.table({"prompt": ["Hi"]}), arguments=["--num-gpu-blocks-override=2"])
    assert outcome.status is JobStatus.FAILED
    assert "ran out of memory" in outcome.message
    assert "--max-model-len" in outcome.message
