"""Gristmill on vLLM: one call of `run_batch`, and what its record tells of the time it took."""

import time
from pathlib import Path
from typing import Any

from benchmarks.contestants.arguments import engine_arguments
from benchmarks.harness.steady import mark_call
from benchmarks.harness.told import Told
from benchmarks.workloads.chats import ChatWorkload
from benchmarks.workloads.workload import Dataset

__all__ = ["run"]


def run(
    workload: ChatWorkload,
    dataset: Dataset,
    output: Path,
    *,
    pool: str = "local",
    files: int = 1,
    grouping: bool | None = None,
    engine_mode: str | None = None,
) -> None:
    """Submit, and wait for the end.

    Args:
        workload: the model, and what everybody gives vLLM.
        dataset: the rows.
        output: the folder to make.
        pool: a pool.
        files: in how many files the rows stand.
        grouping: `prefix_grouping`, where it is given.
        engine_mode: the engine's, where it is given.
    """
    told = Told()
    import gristmill

    told.phase("import")
    options: dict[str, Any] = {
        "engine": "vllm",
        "engine_args_override": engine_arguments(workload.engine_args),
        "output_prefix": "chat_",
        "response_column": "response",
    }
    options |= {} if grouping is None else {"prefix_grouping": grouping}
    options |= {} if engine_mode is None else {"engine_mode": engine_mode}
    job = gristmill.run_batch(
        workload.reference,
        input_location=str(workload.dataset(dataset.rows, files=files).inputs),
        output_spec=gristmill.OutputSpec(location=str(output), mode="overwrite"),
        input_spec=gristmill.InputSpec(
            params={"temperature": 0, "max_completion_tokens": workload.output_tokens, "ignore_eos": True}
        ),
        job_spec=gristmill.JobSpec(block=True, gpu_requests=workload.gpus),
        inference_engine_options=options,
        compute_pool=pool,
        settings=gristmill.Settings.load(stages=dict(workload.stages)),
    )
    back = time.time()
    if job.status != gristmill.JobStatus.DONE:
        raise SystemExit(f"the job ended as {job.status}: {job.get_logs()}")
    _tell(told, job, output, rows=dataset.rows)
    told.phase("notice", back)
    told.write()


def _tell(told: Told, job: Any, output: Path, *, rows: int) -> None:
    """The job's phases by the times in its record; the workers are ready when the first row can go in."""
    progress, manifest, run = job.progress(), job.manifest(), job.record.latest()
    metrics = progress.metrics
    ready = progress.time - metrics["output_tokens"] / progress.means["output_tokens"]
    done = max(path.stat().st_mtime for path in output.rglob("*.parquet"))
    told.phase("describe", job.request.created)
    told.phase("start", job.state().started)
    told.phase("load", ready)
    told.phase("rows", done)
    told.phase("commit", manifest.finished.timestamp())
    told.phase("publish", (output / "_SUCCESS").stat().st_mtime)
    told.phase("end", run.state().completed)
    mark_call(at=ready)
    seconds = done - ready
    told.numbers |= {
        "rate": rows / seconds,
        "tokens_per_second": metrics["output_tokens"] / seconds,
        "prompt_tokens": metrics["prompt_tokens"] / rows,
        "cached": metrics["cached_tokens"] / metrics["prompt_tokens"],
    }
