"""The steady rate: rows over the time from the first row read to the last output written."""

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["FIRST_CALLS", "Steady", "first_call", "mark_call"]

FIRST_CALLS = "BENCHMARK_FIRST_CALLS"


@dataclass(frozen=True)
class Steady:
    """What a contestant reports of itself.

    Attributes:
        rows: rows written.
        seconds: from the first row read to the last output written; None where it cannot tell.
    """

    rows: int
    seconds: float | None

    @property
    def rate(self) -> float | None:
        """Rows a second."""
        return self.rows / self.seconds if self.seconds else None

    def write(self, path: Path) -> None:
        """Leave it for the harness."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> "Steady":
        """What a contestant left."""
        return cls(**json.loads(path.read_text()))


def mark_call() -> None:
    """Note that this process now calls the model for the first time; the clock is the machine's."""
    path = Path(os.environ[FIRST_CALLS], f"{os.getpid()}-{time.monotonic_ns()}")
    path.write_text(repr(time.monotonic()))


def first_call() -> float:
    """The time of the first call in any process, for contestants that do not tell when they first read."""
    times = []
    for path in Path(os.environ[FIRST_CALLS]).iterdir():
        with contextlib.suppress(ValueError):
            times.append(float(path.read_text()))
    return min(times)
