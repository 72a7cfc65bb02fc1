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
from tests.processes import family, lives

import gristmill
from gristmill import JobStatus, Settings

ROOT = Path(__file__).parents[3]
ROWS = 96
FILE = 24
TOKENS = 16
KILLER = 53
STEPS = 10
MIXED, BAD_JSON, TOO_LONG = 400, 12, 201
COLOUR = {"type": "json_schema", "json_schema": {"schema": {"enum": ["red", "green", "blue"]}}}

pytestmark = pytest.mark.timeout(900)


def conversation(row: int) -> list[dict[str, Any]]:
    return [{"role": "user", "content": f"What is {row} and {row * row}?"}]


def until(condition: Callable[[], Any], *, seconds: float = 300) -> None:
    """Wait for something that must come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


@dataclass
class Work:
    """A job of 96 chats in four files, or those of a table, on an engine that takes its time and tells of each step."""

    model: str
    root: Path
    settings: Settings
    monkeypatch: pytest.MonkeyPatch
    name: str = "work"
    rows: int = ROWS
    killer: int | None = None
    table: pa.Table | None = None

    def prepare(self) -> Path:
        """Write the input."""
        self.steps.mkdir(parents=True, exist_ok=True)
        self.monkeypatch.setenv("GRISTMILL_TEST_STEPS", str(self.steps))
        folder = self.root / f"{self.name}-input"
        folder.mkdir()
        table = self.table if self.table is not None else self._chats()
        for at in range(0, table.num_rows, FILE):
            pq.write_table(table.slice(at, FILE), folder / f"{at:04d}.parquet")
        return folder

    def _chats(self) -> pa.Table:
        rows = range(self.rows)
        seeds = [DEADLY_SEED if row == self.killer else None for row in rows]
        messages = [json.dumps(conversation(row)) for row in rows]
        return pa.table({"row": rows, "messages": messages, "seed": pa.array(seeds, pa.int64())})

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


@pytest.fixture
def mixed(tmp_path: Path) -> list[dict[str, Any]]:
    """Chats of several kinds, and some that cannot be answered."""
    rows = []
    for row in range(MIXED):
        kind = row % 4
        rows.append(
            {
                "row": row,
                "messages": json.dumps(conversation(row)),
                "model": (None, "a", "b", None)[kind],
                "response_format": json.dumps(COLOUR) if kind == 3 else None,
            }
        )
    rows[BAD_JSON]["messages"] = "[{"
    rows[TOO_LONG]["messages"] = json.dumps([{"role": "user", "content": "word and " * 2_000}])
    return rows


def processes_of(job: gristmill.Job) -> list[int]:
    """The runner of a job, once it has begun, and everything below it."""
    progress = job.progress()
    return [] if progress is None else [one.pid for one in family(int(progress.process["pid"]))]


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


def test_cancelling_ends_all_processes_of_an_engine_in_its_own(make: Callable[..., Work]) -> None:
    work = make(rows=2_000)
    job = work.submit(engine_mode="own_process")
    engine = work.at_work(job)
    there = processes_of(job)
    assert engine in there
    assert engine not in psutil.Process(there[0]).children()  # it is below the worker
    job.cancel()
    assert job.wait(120) is JobStatus.CANCELLED
    until(lambda: not any(map(lives, there)), seconds=120)
    assert not (work.output / "_SUCCESS").exists()


def test_chats_in_vllms_own_process_are_answered_as_in_the_worker_though_the_process_is_killed(
    make: Callable[..., Work], mixed: list[dict[str, Any]], adapters: dict[str, str], run_job: Callable[..., Any]
) -> None:
    table = pa.Table.from_pylist(mixed)
    options = {"adapters": adapters, "param_columns": ["model", "response_format"], "output_prefix": "chat_"}
    work = make(table=table)
    job = work.submit(engine_mode="own_process", **options)
    core = psutil.Process(work.at_work(job)).parent()
    assert core is not None
    assert core.name().startswith("VLLM::EngineCor")

    def is_told() -> bool:
        assert job.status is JobStatus.RUNNING, job.message
        progress = job.progress()
        return progress is not None and progress.rates.get("output_tokens", 0) > 0

    until(is_told)
    told = job.progress()
    assert told is not None
    assert 0 < told.rows < MIXED
    assert min(told.metrics["prompt_tokens"], told.metrics["output_tokens"], told.gauges["rows_in_flight"]) > 0
    core.kill()
    assert job.wait(240) is JobStatus.DONE, job.message
    last = job.progress()
    assert last is not None
    assert (last.rows, last.gauges["rows_in_flight"], last.gauges["rows_waiting"]) == (MIXED, 0, 0)
    assert len(set(work.engines())) == 2

    rows = work.found()
    assert [row["row"] for row in rows] == list(range(MIXED))
    failed = {row["row"]: row["_error"] for row in rows if row["_error"] is not None}
    assert set(failed) == {BAD_JSON, TOO_LONG}
    assert "JSON" in failed[BAD_JSON]["message"]
    assert "2048" in failed[TOO_LONG]["message"]
    for row in rows:
        if row["response_format"] is not None:
            assert json.loads(row["response"]) in ("red", "green", "blue")
    inside = run_job(
        work.model,
        table,
        params={"temperature": 0, "max_completion_tokens": TOKENS},
        engine={"engine_mode": "in_process", "response_column": "response", **options},
        on_error="record",
    )
    assert inside.status is JobStatus.DONE, inside.message
    assert [row["response"] for row in rows] == [row["response"] for row in inside.rows]
    assert [row["_error"] for row in rows] == [row["_error"] for row in inside.rows]


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
    until(lambda: not any(map(lives, [runner, worker])))
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
