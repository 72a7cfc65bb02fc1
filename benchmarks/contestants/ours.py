"""Gristmill: one call of `run_batch`, until the job is done."""

from pathlib import Path
from typing import Any

from benchmarks.workloads.service import ServiceWorkload
from benchmarks.workloads.workload import Dataset, FileWorkload, Workload

__all__ = ["run"]


def run(
    workload: Workload, dataset: Dataset, output: Path, *, pool: str = "local", replicas: int = 1, num_workers: int = 1
) -> None:
    """Submit, and wait for the end."""
    import gristmill

    handling: dict[str, Any] = {}
    if isinstance(workload, FileWorkload):
        handling = {
            "column_handling": {"image": {"input_format": "full_stage_path", "convert_to": "raw_bytes"}},
            "allowed_locations": (workload.prefix,),
        }
    options = None
    if isinstance(workload, ServiceWorkload):
        handling = {"params": {"max_completion_tokens": 32}}
        options = {"window": workload.in_flight, "output_prefix": "chat_", "response_column": "response"}
    job = gristmill.run_batch(
        workload.reference,
        input_location=str(dataset.inputs),
        output_spec=gristmill.OutputSpec(location=str(output), mode="overwrite"),
        input_spec=gristmill.InputSpec(**handling),
        job_spec=gristmill.JobSpec(num_workers=num_workers, replicas=replicas, block=True),
        inference_engine_options=options,
        compute_pool=pool,
    )
    if job.status != gristmill.JobStatus.DONE:
        raise SystemExit(f"the job ended as {job.status}: {job.get_logs()}")
