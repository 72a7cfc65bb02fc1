"""What workers do, among Ray's own metrics: for the dashboard, Prometheus, and whatever else scrapes a cluster."""

import threading

from gristmill.replica.messages import Advanced, Event, PartDone
from gristmill.replica.meter import Account

__all__ = ["RayMetrics"]

_COUNTERS = {
    "gristmill_rows_total": "Rows done, those that failed included.",
    "gristmill_row_errors_total": "Rows that failed.",
    "gristmill_prompt_tokens_total": "Tokens that models read.",
    "gristmill_cached_tokens_total": "Those of them that an engine had in its cache.",
    "gristmill_output_tokens_total": "Tokens that models wrote.",
}
_GAUGES = {
    "gristmill_rows_in_flight": "Rows that models are working on.",
    "gristmill_rows_waiting": "Rows read that wait for a model, in its own queue or before it.",
}


class RayMetrics:
    """One worker's counters and gauges, tagged with its `job` and its number as `worker`. Needs a connection to Ray.

    Ray's exporter puts `ray_` before each name.

    Args:
        job: the job's id.
        worker: the worker's number.
    """

    def __init__(self, *, job: str, worker: int) -> None:
        from ray.util.metrics import Counter, Gauge

        tags = {"job": job, "worker": str(worker)}
        self._counters = {name: Counter(name, text, tuple(tags)) for name, text in _COUNTERS.items()}
        self._gauges = {name: Gauge(name, text, tuple(tags)) for name, text in _GAUGES.items()}
        for metric in (*self._counters.values(), *self._gauges.values()):
            metric.set_default_tags(tags)
        self._account = Account()
        self._counted: dict[str, float] = {}
        self._lock = threading.Lock()

    def apply(self, event: Event) -> None:
        """Count an event; safe from several threads. Rows that will be done again stay counted."""
        if not isinstance(event, Advanced | PartDone):
            return
        with self._lock:
            account = self._account
            account.apply(event)
            sums = {
                "gristmill_rows_total": account.rows,
                "gristmill_row_errors_total": account.errors,
                **{f"gristmill_{name}_total": value for name, value in account.metrics.items()},
            }
            for name, counter in self._counters.items():
                grown = sums.get(name, 0) - self._counted.get(name, 0)
                if grown > 0:
                    counter.inc(grown)
                    self._counted[name] = sums[name]
            for name, gauge in self._gauges.items():
                gauge.set(account.gauges.get(name.removeprefix("gristmill_"), 0))
