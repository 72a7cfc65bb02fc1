"""A run's throughput over its time, in few numbers whatever its length."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Pace", "Stretch", "mean_rate", "stretches"]

_MOST = 120

Point = tuple[float, int]
"""Seconds since the run began, and rows done by then."""


class Pace:
    """How many rows a run had done at which time: about a hundred points of it, evenly spread.

    Once there are 120 of them every other is left out, and new ones are taken half as often.

    Attributes:
        points: those kept, the newest among them, in the order of time.

    Example:
        >>> pace = Pace()
        >>> for second in range(0, 2_000, 2):
        ...     pace.add(second, 10 * second)
        >>> pace.points[:3], pace.points[-1], len(pace.points)
        ([(0, 0), (32, 320), (64, 640)], (1998, 19980), 64)
    """

    def __init__(self) -> None:
        self.points: list[Point] = []
        self._step = 0.0

    def add(self, seconds: float, rows: int) -> None:
        """Note the rows done so far; times that go back are taken as the latest one."""
        points = self.points
        if points:
            seconds = max(seconds, points[-1][0])
        if len(points) > 1 and points[-1][0] - points[-2][0] < self._step:
            points.pop()  # only the newest may stand closer than a step
        points.append((round(seconds, 3), rows))
        if len(points) >= _MOST:
            self.points = [*points[:-1:2], points[-1]]
            self._step = 2 * points[-1][0] / (len(points) - 1)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a run's time.

    Attributes:
        start: seconds since the run began.
        stop: the same.
        rate: rows per second in between; 0 where rows were lost with their worker.
    """

    start: float
    stop: float
    rate: float


def stretches(points: Sequence[Point], *, most: int = 60) -> list[Stretch]:
    """The rate over time, in equal stretches: as many as there are points for, at most `most`.

    Example:
        >>> stretches([(0.0, 0), (2.0, 0), (4.0, 100)])
        [Stretch(start=0.0, stop=2.0, rate=0.0), Stretch(start=2.0, stop=4.0, rate=50.0)]
    """
    if len(points) < 2 or points[-1][0] <= points[0][0]:
        return []
    number = min(most, len(points) - 1)
    first, width = points[0][0], (points[-1][0] - points[0][0]) / number
    times = [first + width * place for place in range(number)] + [points[-1][0]]
    rows = _rows_at(points, times)
    return [
        Stretch(start, stop, max(0.0, (after - before) / width))
        for start, stop, before, after in zip(times, times[1:], rows, rows[1:], strict=False)
    ]


def _rows_at(points: Sequence[Point], times: Sequence[float]) -> list[float]:
    known = [seconds for seconds, _ in points]
    found = []
    for time in times:
        place = min(max(bisect_right(known, time), 1), len(points) - 1)
        (before, low), (after, high) = points[place - 1], points[place]
        share = (time - before) / (after - before) if after > before else 1.0
        found.append(low + (high - low) * share)
    return found


def mean_rate(points: Sequence[Point], *, ready: float | None = None) -> float | None:
    """Rows per second since the first worker was ready, without those of earlier runs; None where there are none.

    Example:
        >>> mean_rate([(0.0, 0), (60.0, 0), (70.0, 500)], ready=60.0)
        50.0
    """
    if len(points) < 2:
        return None
    seconds = points[-1][0] - (points[0][0] if ready is None else ready)
    rows = points[-1][1] - points[0][1]
    return rows / seconds if seconds > 0 and rows > 0 else None
