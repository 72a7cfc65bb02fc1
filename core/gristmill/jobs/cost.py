"""What a job has taken: the time of its workers and GPUs, over all of its runs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from gristmill.errors import JobNotFoundError
from gristmill.jobs.record import JobRecord
from gristmill.spec.job import JobSpec

__all__ = ["Cost", "cost_of"]


@dataclass(frozen=True, slots=True)
class Cost:
    """What was held, whether or not it was busy; models that load count too.

    Attributes:
        runs: how often the job was started.
        seconds: of all runs.
        worker_seconds: the same, times the workers that were asked for.
        gpu_seconds: the same, times the GPUs that were asked for.

    Example:
        >>> Cost.of([(60.0, JobSpec(replicas=2, gpu_requests=1)), (30.0, JobSpec())])
        Cost(runs=2, seconds=90.0, worker_seconds=150.0, gpu_seconds=120.0)
    """

    runs: int
    seconds: float
    worker_seconds: float
    gpu_seconds: float

    @classmethod
    def of(cls, runs: Iterable[tuple[float, JobSpec]]) -> Self:
        """The cost of runs of so many seconds each."""
        taken = list(runs)
        return cls(
            runs=len(taken),
            seconds=sum(seconds for seconds, _ in taken),
            worker_seconds=sum(seconds * how.replicas * how.num_workers for seconds, how in taken),
            gpu_seconds=sum(seconds * how.replicas * (how.gpu_requests or 0.0) for seconds, how in taken),
        )


def cost_of(record: JobRecord) -> Cost:
    """What a job has taken so far, as its record tells; a run that was killed counts to its last heartbeat."""
    return Cost.of(_runs(record))


def _runs(record: JobRecord) -> Iterator[tuple[float, JobSpec]]:
    latest = record.latest()
    for generation in range(1, 1 + (0 if latest is None else latest.generation)):
        run = record.run(generation)
        try:
            how = run.claim().how.job_spec
        except JobNotFoundError:
            continue
        state, progress = run.state(), run.progress()
        ended = state.completed if state.completed is not None else None if progress is None else progress.time
        yield 0.0 if state.started is None or ended is None else max(0.0, ended - state.started), how
