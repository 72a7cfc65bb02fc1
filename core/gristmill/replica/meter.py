"""What a worker has done and is doing, as numbers: counted in the worker, added up where its events arrive."""

import threading
import time
from collections.abc import Callable, Mapping

from gristmill.replica.messages import Advanced, Event, PartDone

__all__ = ["Account", "Meter"]

_TELL_SECONDS = 1.0


class Meter:
    """Counts a worker's rows, and tells of them about once a second. Safe from several threads.

    Args:
        send: tells the runner.

    Example:
        >>> told = []
        >>> meter = Meter(told.append)
        >>> meter.add(rows=2, metrics={"output_tokens": 7})
        >>> meter.tell({"rows_in_flight": 1})
        >>> told
        [Advanced(rows=2, errors=0, metrics={'output_tokens': 7}, gauges={'rows_in_flight': 1})]
    """

    def __init__(self, send: Callable[[Event], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._rows = self._errors = 0
        self._metrics: dict[str, float] = {}
        self._told = time.monotonic()

    def add(self, *, rows: int = 0, errors: int = 0, metrics: Mapping[str, float] | None = None) -> None:
        """Count rows that are done, and those of them that failed; negative for rows that will be done again."""
        with self._lock:
            self._rows += rows
            self._errors += errors
            for name, value in metrics.items() if metrics else ():
                self._metrics[name] = self._metrics.get(name, 0) + value

    def tell(self, gauges: Mapping[str, float] | None = None) -> None:
        """Tell the sums so far, and what the model is busy with now."""
        with self._lock:
            self._told = time.monotonic()
            event = Advanced(self._rows, self._errors, dict(self._metrics), dict(gauges or {}))
        self._send(event)

    def tell_if_due(self) -> None:
        """Tell, if it was not done within the last second."""
        if time.monotonic() - self._told >= _TELL_SECONDS:
            self.tell()


class Account:
    """One worker's numbers since it started, from its events.

    Attributes:
        rows, errors: rows done, and those that failed.
        metrics: sums that its model reports.
        gauges: what its model is busy with now.
        told_rows, told_errors, told_metrics: the shares of these that stand in finished parts.

    Example:
        >>> account = Account()
        >>> account.apply(Advanced(rows=30, errors=1, metrics={"output_tokens": 90}))
        >>> account.apply(PartDone(task=1, start=0, rows=10, file="a.parquet", metrics={"output_tokens": 40}))
        >>> account.rows - account.told_rows
        20
    """

    def __init__(self) -> None:
        self.rows = self.errors = 0
        self.metrics: dict[str, float] = {}
        self.gauges: Mapping[str, float] = {}
        self.told_rows = self.told_errors = 0
        self.told_metrics: dict[str, float] = {}

    def apply(self, event: Event) -> None:
        """Count an event; those of other kinds change nothing."""
        if isinstance(event, Advanced):
            self.gauges = event.gauges
            self._reach(event.rows, event.errors, event.metrics)
        elif isinstance(event, PartDone):
            self.told_rows += event.rows
            self.told_errors += event.errors
            for name, value in event.metrics.items():
                self.told_metrics[name] = self.told_metrics.get(name, 0) + value
            self._reach(
                max(self.rows, self.told_rows),
                max(self.errors, self.told_errors),
                {name: max(self.metrics.get(name, 0), value) for name, value in self.told_metrics.items()},
            )

    def _reach(self, rows: int, errors: int, metrics: Mapping[str, float]) -> None:
        self.rows, self.errors = rows, errors
        self.metrics.update(metrics)

    @property
    def ahead(self) -> dict[str, float]:
        """The metrics of rows that stand in no finished part yet."""
        return {name: value - self.told_metrics.get(name, 0) for name, value in self.metrics.items()}
