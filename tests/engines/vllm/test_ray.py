"""vLLM on Ray: replicas that share a job's chats, one that is killed, and one that stands on several GPUs."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow as pa
import pytest
from tests.processes import kill_all
from tests.vllm_process import ENVIRONMENT

import gristmill
from gristmill import InputSpec, JobSpec, JobStatus, OutputSpec, PoolSettings, Settings

LIMIT = 300.0
ROWS = 200
TOKENS = 128
WINDOW = 4

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def on_ray(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings with a Ray of two CPUs and two GPUs, which are only counted, as the default pool."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    pools = {"ray": PoolSettings(kind="ray", init={"num_cpus": 2, "num_gpus": 2})}
    yield settings.model_copy(update={"pools": pools, "default_pool": "ray"})
    kill_all(_processes(settings))


def _processes(settings: Settings) -> list[psutil.Process]:
    """Those of this test's jobs, each with the name that it has now as ``info["name"]``: one may end at any moment."""
    return [
        process
        for process in psutil.process_iter(["environ", "name"])
        if (process.info["environ"] or {}).get("GRISTMILL_HOME") == settings.home and process.pid != os.getpid()
    ]


def _submit(settings: Settings, folder: Path, model: str, *, rows: int, params: dict[str, object], **asked: object):
    engine, job = asked.pop("engine"), asked
    chats = [json.dumps([{"role": "user", "content": f"number {number}"}]) for number in range(rows)]
    return gristmill.run_batch(
        "hf:" + model,
        pa.table({"id": range(rows), "messages": chats}),
        input_spec=InputSpec(params={"temperature": 0, **params}),
        output_spec=OutputSpec(location=folder / "out"),
        job_spec=JobSpec(**job),
        inference_engine_options={"engine": "vllm", "output_prefix": "reply_", "response_column": "text", **engine},
        settings=settings,
    )


def test_two_replicas_share_the_chats_and_the_death_of_one_loses_none(
    llama: str, on_ray: Settings, tmp_path: Path
) -> None:
    job = _submit(
        on_ray,
        tmp_path,
        llama,
        rows=ROWS,
        params={"max_completion_tokens": TOKENS, "ignore_eos": True},
        engine={"window": WINDOW, "engine_args_override": ["--enforce-eager"]},
        replicas=2,
    )
    deadline = time.monotonic() + LIMIT
    while (progress := job.progress()) is None or progress.gauges.get("rows_in_flight", 0) <= WINDOW:
        assert time.monotonic() < deadline, job.message  # more in flight than one replica may have: both are at work
        assert not job.status.is_terminal, job.message
        time.sleep(0.1)
    workers = [process for process in _processes(on_ray) if process.info["name"].startswith("ray::RayWorker")]
    assert len(workers) == 2
    os.kill(workers[0].pid, signal.SIGKILL)
    assert job.wait(LIMIT) is JobStatus.DONE, job.message
    rows = gristmill.read_output(tmp_path / "out", settings=on_ray).to_pylist()
    assert [row["id"] for row in rows] == list(range(ROWS))
    assert {row["reply_usage"]["completion_tokens"] for row in rows} == {TOKENS}
    assert str(job.get_logs()).count(" died: ") == 1


PLATFORM = """
from vllm.platforms.cpu import CpuPlatform

class Counted(CpuPlatform):
    ray_device_key = "GPU"

def platform():
    return "counted_gpus.Counted"
"""


@pytest.fixture
def counted_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have vLLM take a GPU that Ray only counts for a CPU: its own platform for CPUs does not know Ray."""
    info = tmp_path / "plugin" / "counted_gpus-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: counted-gpus\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vllm.platform_plugins]\ncounted = counted_gpus:platform\n")
    (tmp_path / "plugin" / "counted_gpus.py").write_text(PLATFORM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "plugin"))
    monkeypatch.syspath_prepend(tmp_path / "plugin")


def test_vllms_own_ray_executor_cuts_a_model_over_the_gpus_of_a_replica(
    llama: str, counted_gpus: None, on_ray: Settings, tmp_path: Path
) -> None:
    job = _submit(
        on_ray,
        tmp_path,
        llama,
        rows=20,
        params={"max_completion_tokens": 8, "ignore_eos": True},
        engine={"engine_args_override": ["--distributed-executor-backend=ray", "--enforce-eager"]},
        gpu_requests=2,
        cpu_requests=2,
    )
    parts = 0
    deadline = time.monotonic() + 2 * LIMIT
    while not job.status.is_terminal:
        assert time.monotonic() < deadline, job.message
        names = [process.info["name"] for process in _processes(on_ray)]
        parts = max(parts, sum(name.startswith("ray::RayWorkerProc") for name in names))
        time.sleep(0.2)
    assert job.status is JobStatus.DONE, job.message
    rows = gristmill.read_output(tmp_path / "out", settings=on_ray).to_pylist()
    assert [row["id"] for row in rows] == list(range(20))
    assert {row["reply_usage"]["completion_tokens"] for row in rows} == {8}
    assert parts >= 2  # at a time: under load a third process was once seen in the course of the job
