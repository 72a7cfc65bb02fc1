"""`Together`: batches that several threads bring at the same time, run as one."""

import threading
from collections.abc import Callable

import pyarrow as pa

from gristmill.engines.protocol import EngineDeadError

__all__ = ["Together"]

_WAIT = 2e-3
"""Seconds that a batch waits for those of other threads: some times what DuckDB takes to bring the next one."""
_VAIN = 3
_LEAST_ALONE, _MOST_ALONE = 64, 4_096
"""After so many waits in vain one after the other, so many batches go alone; then it is tried again."""


class _Place:
    """A batch that waits, and what became of it."""

    __slots__ = ("batch", "error", "found", "gate", "thread")

    def __init__(self, batch: pa.RecordBatch, thread: int) -> None:
        self.batch = batch
        self.thread = thread
        self.gate = threading.Lock()
        self.gate.acquire()  # open once it is done
        self.found: pa.RecordBatch | None = None
        self.error: BaseException | None = None

    def take(self) -> pa.RecordBatch:
        if self.error is not None:
            raise self.error
        assert self.found is not None
        return self.found


class Together:
    """Runs small batches of several threads in one call, where a call costs more than its rows.

    A query brings some thousand rows at a time, in each of its threads, for which a linear model takes a tenth of what
    calling it takes; and threads that run at once wait for the interpreter's lock. So the threads that were there
    lately wait for each other, and the last one runs the rows of all.

    Args:
        infer: runs a batch; any rows in any number may stand together.

    Example:
        >>> double = Together(lambda batch: pa.record_batch({"twice": [2 * x for x in batch["x"].to_pylist()]}))
        >>> double(pa.record_batch({"x": [1, 2]})).to_pydict()
        {'twice': [2, 4]}
    """

    def __init__(self, infer: Callable[[pa.RecordBatch], pa.RecordBatch]) -> None:
        self._infer = infer
        self._lock = threading.Lock()
        self._waiting: list[_Place] = []
        self._threads: set[int] = set()
        self._vain = 0
        self._alone = 0
        self._next_alone = _LEAST_ALONE

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The outputs of a batch; raises what its rows raise when they are run alone."""
        thread = threading.get_ident()
        with self._lock:
            self._threads.add(thread)
            if self._alone:
                self._alone -= 1
                is_alone = True
            else:
                is_alone = len(self._threads) == 1
            if not is_alone:
                place = _Place(batch, thread)
                self._waiting.append(place)
                group = self._gathered() if len(self._waiting) >= len(self._threads) else None
                if group is not None:
                    self._vain, self._next_alone = 0, _LEAST_ALONE
        if is_alone:
            return self._infer(batch)
        if group is None and not place.gate.acquire(timeout=_WAIT):
            group = self._given_up(place)
            if group is None:
                place.gate.acquire()
        if group is not None:
            self._run(group)
        return place.take()

    def _gathered(self) -> list[_Place]:
        group, self._waiting = self._waiting, []
        return group

    def _given_up(self, place: _Place) -> list[_Place] | None:
        """What waits, for a thread that waits no longer; None where another one runs its batch already."""
        with self._lock:
            if place not in self._waiting:
                return None
            group = self._gathered()
            self._threads = {one.thread for one in group}
            self._vain += 1
            if self._vain >= _VAIN:
                self._vain, self._alone = 0, self._next_alone
                self._next_alone = min(2 * self._next_alone, _MOST_ALONE)
            return group

    def _run(self, group: list[_Place]) -> None:
        try:
            if len(group) > 1:
                self._run_as_one(group)
            else:
                self._run_alone(group[0])
        finally:
            for place in group:
                place.gate.release()

    def _run_as_one(self, group: list[_Place]) -> None:
        rows = [place.batch.num_rows for place in group]
        try:
            found = self._infer(pa.concat_batches([place.batch for place in group]))
        except (EngineDeadError, KeyboardInterrupt, SystemExit) as error:
            for place in group:
                place.error = error
            return
        except Exception:  # noqa: BLE001 - one of them has a row that fails: each alone
            found = None
        if found is None or found.num_rows != sum(rows):
            for place in group:
                self._run_alone(place)
            return
        at = 0
        for place, count in zip(group, rows, strict=True):
            place.found = found.slice(at, count)
            at += count

    def _run_alone(self, place: _Place) -> None:
        try:
            place.found = self._infer(place.batch)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that it belongs to
            place.error = error
