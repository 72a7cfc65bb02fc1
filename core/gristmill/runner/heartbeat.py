"""The heartbeat: a thread that writes progress, flushes logs, and hears whether the run should stop."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from gristmill.jobs.process import this_process
from gristmill.jobs.record import JobRecord, Progress, RunRecord
from gristmill.runner.coordinator import Live
from gristmill.runner.logs import LogWriter
from gristmill.runner.pace import Pace
from gristmill.runner.tally import Tally, first_errors

__all__ = ["CANCELLED", "SUPERSEDED", "Heartbeat"]

CANCELLED = "cancelled"
SUPERSEDED = "superseded: another runner has taken this job over"

_LISTEN_SECONDS = 1.0
_BEAT_SECONDS = 2.0
_RATE_SECONDS = 30.0


class Heartbeat:
    """Tells the world how a run is doing, and the run what the world wants.

    Args:
        record: the job.
        run: this run of it.
        tally: rows and errors.
        live: the coordinator's numbers.
        logs: what to flush.
        shards_total: shards in all.
        dashboard: asks for the dashboard's address.
        began: when the run began, by the monotonic clock.
    """

    def __init__(
        self,
        record: JobRecord,
        run: RunRecord,
        *,
        tally: Tally,
        live: Live,
        logs: LogWriter,
        shards_total: int,
        dashboard: Callable[[], str | None],
        began: float,
    ) -> None:
        self._record = record
        self._run = run
        self._tally = tally
        self._live = live
        self._logs = logs
        self._shards_total = shards_total
        self._dashboard = dashboard
        self._began = began
        self._pace = Pace()
        self._ready: float | None = None
        self._process = this_process()
        self._earlier = dict(live.metrics)
        self._recent: deque[tuple[float, int, dict[str, float]]] = deque(maxlen=int(_RATE_SECONDS / _BEAT_SECONDS))
        self._reason: str | None = None
        self._errors_told = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="heartbeat", daemon=True)

    def stop_reason(self) -> str | None:
        """Why the run should stop, if it should."""
        return self._reason

    def start(self) -> None:
        """Beat once, so that the run is known to live, and go on in a thread."""
        self._attempt(self._beat)
        self._thread.start()

    def close(self) -> None:
        """Stop, and beat a last time."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._attempt(self._beat)

    def _loop(self) -> None:
        beaten = time.monotonic()
        while not self._stop.wait(_LISTEN_SECONDS):
            self._attempt(self._listen)
            if time.monotonic() - beaten >= _BEAT_SECONDS:
                beaten = time.monotonic()
                self._attempt(self._beat)

    def _attempt(self, work: Callable[[], None]) -> None:
        """Storage may hiccup: the next beat tries again, and a run that stays silent is taken over and fenced."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - a heart that stops would have a healthy job declared dead
            self._logs.note(f"heartbeat: {type(error).__name__}: {error}")

    def _listen(self) -> None:
        if self._reason is None and self._run.cancel_is_asked():
            self._reason = CANCELLED
        if self._record.is_superseded(self._run.generation):
            self._reason = SUPERSEDED

    def _beat(self) -> None:
        self._run.write_progress(self._progress())
        if len(self._tally.samples) > self._errors_told:
            self._errors_told = len(self._tally.samples)
            self._run.write_errors(first_errors(self._tally))
        self._logs.flush()

    def _progress(self) -> Progress:
        accounts, began = list(self._live.accounts.values()), self._live.began
        rows = self._tally.rows + sum(account.rows - account.told_rows for account in accounts)
        errors = self._tally.errors + sum(account.errors - account.told_errors for account in accounts)
        metrics = _sums([self._live.metrics, *(account.ahead for account in accounts)])
        now = time.monotonic()
        self._note_pace(began, now, rows)
        if began is None:
            self._recent.clear()  # the time that models take to load says nothing about their speed
        self._recent.append((now, rows, metrics))
        then, before, earlier = self._recent[0]
        lately = now - then
        rate = max(0.0, (rows - before) / lately) if lately else 0.0
        left = None if self._tally.rows_total is None else max(0, self._tally.rows_total - rows)
        return Progress(
            time=time.time(),
            process=self._process,
            rows=rows,
            rows_total=self._tally.rows_total,
            errors=errors,
            shards=self._live.shards,
            shards_total=self._shards_total,
            rate=rate,
            eta=left / rate if left is not None and rate > 0 else None,
            workers=self._live.workers,
            metrics=metrics,
            rates=_rates(metrics, earlier, lately),
            means=_rates(metrics, self._earlier, 0.0 if began is None else now - began),
            gauges=_sums([account.gauges for account in accounts]),
            dashboard=self._dashboard(),
            pace=list(self._pace.points),
            ready=self._ready,
        )

    def _note_pace(self, began: float | None, now: float, rows: int) -> None:
        if began is not None and self._ready is None:
            self._ready = round(began - self._began, 3)
            if self._pace.points:  # nothing was done before; else the first rows would seem to be spread over that time
                self._pace.add(self._ready, self._pace.points[-1][1])
        self._pace.add(now - self._began, rows)


def _sums(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total.get(name, 0) + value
    return total


def _rates(now: Mapping[str, float], then: Mapping[str, float], seconds: float) -> dict[str, float]:
    """How much each sum has grown per second; nothing where rows have been lost meanwhile."""
    if not seconds:
        return {}
    return {name: max(0.0, (value - then.get(name, 0)) / seconds) for name, value in now.items()}
