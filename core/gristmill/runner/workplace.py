"""From a pool's settings to an executor, and from a job's record to what a worker needs to know."""

import os
import sys
from typing import TYPE_CHECKING

from gristmill.errors import MissingExtraError
from gristmill.outputs.layout import parts_of
from gristmill.partitions.memory import most_partition_bytes
from gristmill.partitions.rule import partitioning_of
from gristmill.replica.messages import WorkerSpec
from gristmill.runner.tally import ErrorPolicy
from gristmill.settings import PoolSettings, Settings
from gristmill.spec.job import JobSpec
from gristmill.spec.request import JobRequest, RunRequest
from gristmill.spec.schema_text import schema_from_text

if TYPE_CHECKING:
    from gristmill.executors.protocol import Executor

__all__ = ["make_executor", "worker_spec", "worker_threads"]


def worker_threads(how: JobSpec, *, workers: int) -> int:
    """CPU threads of one worker: its share of what the replica asked for, or of this machine."""
    cpus = how.cpu_requests / how.num_workers if how.cpu_requests else (os.cpu_count() or 1) / workers
    return max(1, int(cpus))


def make_executor(pool: PoolSettings, how: JobSpec, request: JobRequest) -> "Executor":
    """The executor of a pool.

    Raises:
        MissingExtraError: the pool needs Ray, which is not installed.
    """
    if pool.kind == "inline":
        from gristmill.executors.inline import InlineExecutor

        return InlineExecutor()
    if pool.kind == "local":
        from gristmill.executors.local import LocalExecutor

        return LocalExecutor(preload=request.preload)
    try:
        from gristmill.executors.ray import RayExecutor
    except ImportError as error:
        raise MissingExtraError.of("ray", "ray", need=f"the pool of kind {pool.kind!r}") from error
    executor: Executor = RayExecutor(
        pool=pool,
        replicas=how.replicas,
        num_workers=how.num_workers,
        cpus=how.cpu_requests,
        memory=how.memory_requests,
        gpus=how.gpu_requests,
        spreads=request.spreads,
    )
    return executor


def worker_spec(
    job_id: str, request: JobRequest, run: RunRequest, settings: Settings, policy: ErrorPolicy
) -> WorkerSpec:
    """What a worker of this job needs to know."""
    how = run.job_spec
    workers = how.replicas * how.num_workers
    partitioning = partitioning_of(request)
    return WorkerSpec(
        settings=settings,
        job=job_id,
        engine=request.engine,
        model=request.model,
        function=request.function,
        params=request.params,
        options=request.engine_options,
        format="parquet" if request.partition_column is not None else request.source.format,
        input_schema=schema_from_text(request.input_schema),
        column_handling=request.column_handling,
        allowed=run.allowed,
        parts=parts_of(request.staging),
        outputs=None if request.outputs_schema is None else schema_from_text(request.outputs_schema),
        record_errors=policy.records,
        error_budget=policy.limit,
        max_batch_rows=how.max_batch_rows,
        threads=worker_threads(how, workers=workers),
        gpus=(how.gpu_requests or 0.0) / how.num_workers,
        workers=workers,
        sys_path=tuple(sys.path),
        registry=request.registry,
        digest=request.model_digest,
        messages=request.messages,
        partitioning=partitioning,
        partition_bytes=0 if partitioning is None else most_partition_bytes(settings, how),
    )
