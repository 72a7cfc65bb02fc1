"""`Together`: batches that several threads bring at the same time, run as one."""

import threading
from collections import deque
from collections.abc import Callable

import pyarrow as pa

from gristmill.engines.protocol import EngineDeadError

__all__ = ["Together"]

_WAIT = 5e-4
"""Seconds in which a thread that has its outputs comes with its next batch, or is waited for no longer: some times what
DuckDB takes to bring one, and about what a thread loses that runs beside others."""
_LONGEST_WAIT = 1e-2
"""Seconds after which it is looked again, at most, while another thread runs."""
_VAIN = 3
_LEAST_ALONE, _MOST_ALONE = 64, 4_096
"""After so many waits in vain one after the other, so many batches go alone; then it is tried again."""


class _Place:
    """A batch that waits, and what became of it."""

    __slots__ = ("batch", "error", "found", "gate")

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch
        self.gate = threading.Lock()
        self.gate.acquire()  # open once its thread may go on
        self.found: pa.RecordBatch | None = None
        self.error: BaseException | None = None

    @property
    def is_done(self) -> bool:
        return self.found is not None or self.error is not None

    def take(self) -> pa.RecordBatch:
        if self.error is not None:
            raise self.error
        assert self.found is not None
        return self.found


class Together:
    """Runs small batches of several threads in one call, where a call costs more than its rows.

    A query brings some thousand rows at a time, in each of its threads, for which a linear model takes a tenth of what
    calling it takes. And threads that run at once take the interpreter's lock from each other, in the midst of what
    they do, until they are slower than one. So one thread goes at a time: it brings its batch, lets the next one go
    that has its outputs, and waits; the last one runs the rows of all.

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
        self._waiting: list[_Place] = []  # with batches to run
        self._ready: deque[_Place] = deque()  # with outputs, for their threads to take one after the other
        self._group: list[_Place] = []  # what is being run, by the thread of the runner
        self._runner: _Place | None = None
        self._moves = 0
        self._vain = 0
        self._alone = 0
        self._next_alone = _LEAST_ALONE

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The outputs of a batch; raises what its rows raise when they are run alone."""
        place = group = None
        try:
            with self._lock:
                if self._alone:
                    self._alone -= 1
                else:
                    place = _Place(batch)
                    group = self._arrived(place)
            if place is None:
                return self._infer(batch)
            if group is None:
                group = self._waited(place)
            if group is not None:
                self._run(group, place)
        except BaseException:
            if place is not None:
                self._left(place)
            raise
        return place.take()

    def _arrived(self, place: _Place) -> list[_Place] | None:
        """What the thread of a new batch shall run, if anything."""
        self._moves += 1
        self._waiting.append(place)
        if self._ready:
            self._ready.popleft().gate.release()
            return None
        return None if self._runner is not None else self._gathered(place)

    def _gathered(self, place: _Place) -> list[_Place]:
        """All that waits, for the thread of one of them to run."""
        self._runner = place
        self._group, self._waiting = self._waiting, []
        return self._group

    def _waited(self, place: _Place) -> list[_Place] | None:
        """Wait for a batch's outputs; what its thread shall run instead, once it waits in vain."""
        moves, wait = self._moves, _WAIT
        while not place.gate.acquire(timeout=wait):
            with self._lock:
                if self._runner is not None or self._moves != moves:
                    moves, wait = self._moves, _WAIT if self._runner is None else min(2 * wait, _LONGEST_WAIT)
                    continue
                if place.gate.acquire(blocking=False):
                    break
                self._vain += 1
                if self._vain >= _VAIN:
                    self._vain, self._alone = 0, self._next_alone
                    self._next_alone = min(2 * self._next_alone, _MOST_ALONE)
                if not place.is_done:
                    return self._gathered(place)
                self._ready.remove(place)
                break
        return None

    def _run(self, group: list[_Place], own: _Place) -> None:
        try:
            if len(group) == 1 or not self._run_as_one(group):
                for place in group:
                    self._run_alone(place)
        except BaseException as error:  # noqa: BLE001 - raised again in the threads that it belongs to
            for place in group:
                if not place.is_done:
                    place.error = error
        with self._lock:
            self._ended(own)
            if len(group) > 1:
                self._vain, self._next_alone = 0, _LEAST_ALONE

    def _ended(self, own: _Place) -> None:
        """Outputs are ready for the threads of a group; what an interrupt has left unrun waits again."""
        self._runner = None
        self._moves += 1
        group, self._group = self._group, []
        for place in group:
            if place is not own:
                (self._ready if place.is_done else self._waiting).append(place)

    def _run_as_one(self, group: list[_Place]) -> bool:
        """Whether there are outputs now; else one of the batches has a row that fails, and each is run alone."""
        rows = [place.batch.num_rows for place in group]
        try:
            found = self._infer(pa.concat_batches([place.batch for place in group]))
        except EngineDeadError:
            raise
        except Exception:  # noqa: BLE001 - whatever a model raises
            return False
        if found.num_rows != sum(rows):
            return False
        at = 0
        for place, count in zip(group, rows, strict=True):
            place.found = found.slice(at, count)
            at += count
        return True

    def _run_alone(self, place: _Place) -> None:
        try:
            place.found = self._infer(place.batch)
        except EngineDeadError:
            raise
        except Exception as error:  # noqa: BLE001 - raised again in the thread that it belongs to
            place.error = error

    def _left(self, place: _Place) -> None:
        """A thread was interrupted: its batch is run no more, and others have its turn."""
        with self._lock:
            if self._runner is place:
                self._ended(place)
            elif place in self._waiting:
                self._waiting.remove(place)
            elif place in self._ready:
                self._ready.remove(place)
            elif place.gate.acquire(blocking=False) and self._ready:
                self._ready.popleft().gate.release()
