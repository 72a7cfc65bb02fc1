"""What a run's progress says while it runs."""

from pathlib import Path
from typing import Any

import pytest

from gristmill.jobs.record import JobRecord, Progress
from gristmill.replica.messages import Advanced, PartDone
from gristmill.replica.meter import Account
from gristmill.runner import heartbeat as module
from gristmill.runner.coordinator import Live
from gristmill.runner.heartbeat import Heartbeat
from gristmill.runner.logs import LogWriter
from gristmill.runner.tally import ErrorPolicy, Tally
from gristmill.settings import Settings
from gristmill.spec.enums import OnError
from gristmill.storage.storage import Storage


class Clock:
    """The time as a test says."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1e9 + self.now


class Beating:
    """A heartbeat that beats when a test says so."""

    def __init__(self, folder: Path, clock: Clock, live: Live) -> None:
        storage = Storage(Settings())
        self.live = live
        self.tally = Tally(ErrorPolicy(OnError.RECORD), 1_000)
        self.clock = clock
        self._run = JobRecord(storage, str(folder), "job").run(1)
        self._heartbeat: Any = Heartbeat(
            JobRecord(storage, str(folder), "job"), self._run, tally=self.tally, live=live,
            logs=LogWriter(storage, str(folder / "logs")), shards_total=4, dashboard=lambda: None, began=clock.now,
        )  # fmt: skip

    def after(self, seconds: float) -> Progress:
        self.clock.now += seconds
        self._heartbeat._beat()
        progress = self._run.progress()
        assert progress is not None
        return progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_rates_begin_when_a_model_is_loaded_and_leave_out_earlier_runs(tmp_path: Path, clock: Clock) -> None:
    live = Live(metrics={"output_tokens": 1_000.0})
    beating = Beating(tmp_path, clock, live)
    assert beating.after(0).rates == {}
    assert beating.after(60).means == {}
    live.began = clock.now
    account = live.accounts[0] = Account()
    account.apply(Advanced(20, 0, {"output_tokens": 100}, {"rows_in_flight": 3, "rows_waiting": 9}))
    progress = beating.after(2)
    assert progress.metrics == {"output_tokens": 1_100}
    assert progress.rates == {"output_tokens": 50}
    assert progress.means == {"output_tokens": 50}
    assert progress.rate == 10
    assert progress.eta == 98


def test_parts_are_counted_once_and_workers_together(tmp_path: Path, clock: Clock) -> None:
    live = Live(workers=2, began=clock.now)
    beating = Beating(tmp_path, clock, live)
    for worker in range(2):
        account = live.accounts[worker] = Account()
        account.apply(Advanced(50, 2, {"output_tokens": 500}, {"rows_in_flight": 4, "rows_waiting": 1}))
    part = PartDone(1, 0, 40, "a", errors=1, metrics={"output_tokens": 400})
    live.accounts[0].apply(part)
    live.metrics["output_tokens"] = 400
    beating.tally.add(rows=40, errors=1, shard=0)
    progress = beating.after(2)
    assert (progress.rows, progress.errors) == (100, 4)
    assert progress.metrics == {"output_tokens": 1_000}
    assert progress.gauges == {"rows_in_flight": 8, "rows_waiting": 2}


def test_rows_lost_with_a_worker_make_no_rate_negative(tmp_path: Path, clock: Clock) -> None:
    live = Live(began=clock.now)
    beating = Beating(tmp_path, clock, live)
    account = live.accounts[0] = Account()
    account.apply(Advanced(50, 0, {"output_tokens": 500}))
    beating.after(2)
    del live.accounts[0]
    progress = beating.after(2)
    assert progress.rate == 0
    assert progress.metrics == {}
    assert all(rate >= 0 for rate in progress.rates.values())


def test_the_pace_tells_when_the_first_worker_was_ready_and_what_was_done_since(tmp_path: Path, clock: Clock) -> None:
    live = Live()
    beating = Beating(tmp_path, clock, live)
    beating.tally.add(rows=7, errors=0, shard=0)  # of an earlier run
    assert beating.after(0).ready is None
    live.began = clock.now + 3
    live.accounts[0] = Account()
    live.accounts[0].apply(Advanced(10, 0, {}))
    progress = beating.after(4)
    assert progress.ready == 3
    assert progress.pace == [(0.0, 7), (3.0, 7), (4.0, 17)]


def test_the_progress_of_a_release_without_pace_still_reads(tmp_path: Path) -> None:
    run = JobRecord(Storage(Settings()), str(tmp_path), "job").run(1)
    run.storage.write_bytes(f"{run.folder}/progress.json", b'{"time": 1.0, "rows": 3}')
    progress = run.progress()
    assert progress is not None
    assert (progress.rows, progress.pace, progress.ready) == (3, [], None)
