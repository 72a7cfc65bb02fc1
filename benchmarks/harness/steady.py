"""The steady rate: rows over the time from the first call of the model to the last output written.

The same rule for everybody, told by the time stamps of files: each process leaves a mark when it first calls the model,
and outputs say themselves when they were written. Of objects the server tells when the first was read.
"""

import functools
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["MARKS", "Marking", "Report", "mark_call", "steady_seconds"]

MARKS = "BENCHMARK_MARKS"
"""The variable that names the folder for marks."""


@functools.cache
def mark_call(at: float | None = None) -> None:
    """Note that this process calls the model, or that the model was called at a time; only the first call costs."""
    if folder := os.environ.get(MARKS):
        mark = Path(folder, str(os.getpid()))
        mark.touch()
        if at is not None:
            os.utime(mark, (at, at))


def steady_seconds(marks: Path, output: Path, *, first_read: float | None = None) -> float | None:
    """Seconds from the first mark, or the first read where it is known, to the last output; None without marks."""
    times = [path.stat().st_mtime for path in marks.iterdir()]
    if first_read:
        times.append(first_read)
    ends = [path.stat().st_mtime for path in output.rglob("*.parquet")]
    return max(ends) - min(times) if times and ends else None


class Marking:
    """An estimator to be saved: loaded again, it is the same estimator and marks its first call.

    Args:
        estimator: fitted.
    """

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator

    def __reduce__(self) -> Any:
        return _marking, (self._estimator,)


def _marking(estimator: Any) -> Any:
    kind = type(estimator)

    def predict(self: Any, matrix: Any) -> Any:
        if len(matrix) > 1:  # one row is a question about the output's type
            mark_call()
        return kind.predict(self, matrix)

    estimator.__class__ = type(kind.__name__, (kind,), {"predict": predict, "__module__": kind.__module__})
    return estimator


@dataclass(frozen=True)
class Report:
    """What a process says of itself, where files do not tell.

    Attributes:
        rows: how many it did.
        seconds: in which time, if that is not the process' own.
    """

    rows: int
    seconds: float | None

    def write(self, path: Path) -> None:
        """Leave it for the harness."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> "Report":
        """What a process left."""
        return cls(**json.loads(path.read_text()))
