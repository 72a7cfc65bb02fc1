"""Running a row model: a window of rows in flight that spans blocks, tasks and shards, so that it never drains."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from gristmill.engines.protocol import EngineDeadError, EngineRefusedError, RowModel
from gristmill.replica.asking import Asking
from gristmill.replica.assembly import Assembly
from gristmill.replica.buffer import RowBuffer, WaitingRow
from gristmill.replica.careful import careful_rows
from gristmill.replica.feed import Arrival, Feed
from gristmill.replica.flights import Flights
from gristmill.replica.grouping import Grouping
from gristmill.replica.messages import Announced, EngineDied, Event, Task
from gristmill.replica.meter import Meter
from gristmill.replica.room import Room
from gristmill.replica.stream import Item, TaskCut, TaskEnd, TaskStart
from gristmill.spec.row_error import RowError

__all__ = ["Window"]

_TELL_SECONDS = 1.0
_FAREWELL_SECONDS = 2.0


class Send(Protocol):
    """Tells the runner; see `gristmill.replica.channel.Channel.send`."""

    def __call__(self, event: Event, *, sure: bool = False) -> None: ...


class Window:
    """Keeps as many rows with a model as it asks for, and gives their results in the order of the input.

    Rows are sent in the order of arrival, or grouped by what they begin with where the model has a `prefix_key` and the
    rows gain by it. Rows of a careful task are run alone, a sixteenth at a time, each group announced before it.

    Args:
        model: the loaded model.
        emit: takes what is finished, in the items' order; called in the event loop, must not wait. For each assembly
            `wrote` must be called in the end.
        send: tells the runner which tasks have rows in flight, and what is announced and wanted.
        meter: counts rows.
        is_dry: whether the worker has no task left to read.

    Example:
        >>> from gristmill.inputs.block import Block
        >>> from gristmill.plan.shards import Shard
        >>> class Upper(RowModel):
        ...     window = 8
        ...     output_schema = pa.schema({"answer": pa.string()})
        ...
        ...     async def infer_row(self, row):
        ...         return {"answer": row["prompt"].upper()}
        >>> rows = pa.record_batch({"prompt": ["yes", "no"]})
        >>> task = Task(0, Shard(0, ()))
        >>> done = []
        >>> window = Window(Upper(), emit=done.append, send=lambda event, sure=False: None, meter=Meter(print))
        >>> asyncio.run(window.run([TaskStart(task), Block(0, 0, rows, rows), TaskEnd(task)]))
        >>> done[1].results
        [{'answer': 'YES'}, {'answer': 'NO'}]
    """

    def __init__(
        self,
        model: RowModel,
        *,
        emit: Callable[[TaskStart | Assembly | TaskCut | TaskEnd], None],
        send: Send,
        meter: Meter,
        is_dry: Callable[[], bool] = lambda: False,
    ) -> None:
        key = getattr(model, "prefix_key", None)
        self.room = Room(window=model.window, has_keys=key is not None)
        self._model = model
        self._key = key
        self._emit = emit
        self._send = send
        self._meter = meter
        self._buffer = RowBuffer(capacity=self.room.capacity)
        self._grouping = Grouping(self._buffer, self.room, window=model.window)
        self._asking = Asking(self.room, window=model.window, send=send, is_dry=is_dry)
        self._flights = Flights(send)
        self._pending: deque[TaskStart | Assembly | TaskEnd] = deque()
        self._lanes: set[asyncio.Task[None]] = set()
        self._starting = 0  # lanes that have not taken a row yet
        self._is_held_up = False  # rows wait until results have been written
        self._finished = self._failed = 0  # since the meter was told
        self._quiet = asyncio.Event()
        self._has_ended = False
        self._is_running = self._is_stopped = False

    async def run(self, items: Iterable[Item]) -> None:
        """Run every row of the items, and return when all is emitted or `stop` is called.

        Args:
            items: blocks between their tasks' starts and ends; iterated in another thread.

        Raises:
            EngineDeadError: the engine is gone; the runner has been told which tasks had rows in flight.
            EngineRefusedError: it runs no rows; all that are back have been emitted, those of unfinished tasks too.
        """
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._feed = Feed(items, self.room, self._key)
        self._feed.start()
        admission = self._loop.create_task(self._admit())
        admission.add_done_callback(self._check)
        self._ticker = self._loop.call_later(_TELL_SECONDS, self._tick)
        self._is_running = True
        if self._is_stopped:
            self._end()
        try:
            await self._over
        finally:
            self._is_running = False
            self._ticker.cancel()
            self._feed.close()
            left = {admission, *self._lanes}
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=_FAREWELL_SECONDS)
            self._count()

    def stop(self) -> None:
        """Drop everything; safe from other threads."""
        self._is_stopped = True
        if self._is_running:
            self._loop.call_soon_threadsafe(self._end)

    def wrote(self, rows: int, input_bytes: int) -> None:
        """Count rows of an assembly as written, with their bytes as they were read; safe from one other thread."""
        self.room.wrote(rows, input_bytes)
        self._feed.nudge()
        if self._is_held_up:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._go_on)

    def _end(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    def _check(self, task: "asyncio.Task[None]") -> None:
        """A bug in a task of ours ends the window."""
        if not task.cancelled() and (error := task.exception()) is not None and not self._over.done():
            self._over.set_exception(error)

    # rows come in

    async def _admit(self) -> None:
        arrivals, arrived = self._feed.arrivals, self._feed.arrived
        task: Task | None = None
        while True:
            while not arrivals:
                arrived.clear()
                await arrived.wait()
            item = arrivals.popleft()
            if item is None:
                self._has_ended = True
                self._asking.end()
            elif isinstance(item, BaseException):
                raise item
            elif isinstance(item, Arrival):
                assert task is not None
                assembly = Assembly(task, item.block)
                self._pending.append(assembly)
                if task.careful:
                    await self._run_carefully(assembly, item)
                else:
                    self._take_in(assembly, item)
            else:
                task = item.task
                self._pending.append(item)
                self._asking.came()
            self._flush()
            self._asking.look(len(self._buffer))
            if self._has_ended:
                return

    def _take_in(self, assembly: Assembly, arrival: Arrival) -> None:
        keys, errors = arrival.keys, assembly.errors
        self.room.finished_rows += len(errors)  # what failed before has come back as well
        if keys is not None and self._grouping.add(keys):
            self._loop.create_task(self._settle()).add_done_callback(self._check)
        for index, cells in enumerate(arrival.cells):
            if index not in errors:
                key = "" if keys is None else keys[index]
                self._buffer.add(WaitingRow(assembly, index, cells, key=key, size=arrival.row_bytes))
        self._fill()

    async def _settle(self) -> None:
        await self._grouping.settle(self._feed)
        self._fill()

    async def _run_carefully(self, assembly: Assembly, arrival: Arrival) -> None:
        await self._emptied()
        task = assembly.task
        size = careful_rows(task)
        self.room.finished_rows += len(assembly.errors)
        is_grouping, self._buffer.is_grouping = self._buffer.is_grouping, False
        for first in range(0, len(arrival.cells), size):
            last = min(first + size, len(arrival.cells))
            group = [index for index in range(first, last) if index not in assembly.errors]
            if group:
                self._send(Announced(task.id, assembly.start + first, assembly.start + last), sure=True)
            for index in group:
                self._buffer.add(WaitingRow(assembly, index, arrival.cells[index], size=arrival.row_bytes))
            self._fill()
            await self._emptied()
        self._buffer.is_grouping = is_grouping

    async def _emptied(self) -> None:
        """Wait until no row waits or is in flight."""
        while self._buffer or self._flights.count:
            self._quiet.clear()
            await self._quiet.wait()

    # rows go out

    def _fill(self) -> None:
        """Have all lanes at work that there are rows for."""
        more = min(self._grouping.allowed - len(self._lanes), len(self._buffer) - self._starting)
        if more > 0 and self._is_full():
            more = min(more, self._head.left)  # a lane that finds no row of that block ends
        for _ in range(0 if self._over.done() else more):
            lane = self._loop.create_task(self._lane())
            self._lanes.add(lane)
            self._starting += 1
            lane.add_done_callback(self._check)

    async def _lane(self) -> None:
        lane = asyncio.current_task()
        assert lane is not None
        self._starting -= 1
        try:
            row = self._next()  # taken now and not before, so that rows are sent in the order in which they leave it
            if row is not None:
                await self._run_rows(row, lane)
        finally:
            self._lanes.discard(lane)  # at once: whoever fills the lanes next must not count this one

    async def _run_rows(self, first: WaitingRow, lane: "asyncio.Task[None]") -> None:
        """One row after the other, while there are any."""
        model, over = self._model, self._over
        row: WaitingRow | None = first
        while row is not None:
            result: Mapping[str, Any] | RowError
            try:
                result = await model.infer_row(row.cells)
            except EngineDeadError as error:
                self._engine_died(error)
                return
            except asyncio.CancelledError as error:
                if over.done():
                    raise
                lane.uncancel()  # the model has cancelled itself
                result = RowError.of(error, step="infer")
            except Exception as error:  # noqa: BLE001 - a model may raise anything, and it is data here
                result = RowError.of(error, step="infer")
            if over.done():
                return
            self._back(row, result)
            following = self._next() if len(self._lanes) <= self._grouping.allowed else None
            self._flights.rest(row.owner.task.id)
            row = following

    def _next(self) -> WaitingRow | None:
        """The row to send next; None where none waits, or none may be sent."""
        if not self._buffer:
            return None
        if not self._is_full():
            row = self._buffer.take()
        elif (oldest := self._buffer.oldest) is not None and oldest.owner is self._head:
            row = self._buffer.take_oldest()
        else:
            return None
        self.room.sent_rows += 1
        self.room.sent_bytes += row.size
        self._flights.leave(row.owner.task.id)
        self._feed.nudge()
        self._asking.look(len(self._buffer))
        return row

    def _is_full(self) -> bool:
        """Whether results take so much room that only rows of the first block are sent, which the others wait for."""
        if not self.room.is_full:
            return False
        self._is_held_up = True  # before looking again: who makes room looks at this afterwards
        return self.room.is_full

    def _go_on(self) -> None:
        self._is_held_up = False
        self._fill()

    @property
    def _head(self) -> Assembly:
        """The block whose results are awaited first."""
        head = self._pending[0]
        assert isinstance(head, Assembly)
        return head

    def _back(self, row: WaitingRow, result: Mapping[str, Any] | RowError) -> None:
        assembly: Assembly = row.owner
        self._flights.come_back(assembly.task.id)
        self.room.finished(result)
        if isinstance(result, dict | Mapping):
            assembly.results[row.index] = result
        else:
            if not isinstance(result, RowError):
                result = RowError("TypeError", f"the model gave {type(result).__name__}, not a mapping", "infer")
            assembly.errors[row.index] = result
            self._failed += 1
        # what the engine counted by now belongs to this row: no other has run since it came back
        if counted := self._model.take_metrics():
            metrics = assembly.metrics
            for name, value in counted.items():
                metrics[name] = metrics.get(name, 0) + value
            self._meter.add(metrics=counted)
        self._finished += 1
        assembly.left -= 1
        if not assembly.left:
            self._flush()
        if not self._flights.count and not self._buffer:
            self._quiet.set()

    def _engine_died(self, error: EngineDeadError) -> None:
        if not self._over.done():
            if isinstance(error, EngineRefusedError):
                self._give_up()
            else:
                self._send(EngineDied(str(error) or type(error).__name__, self._flights.tasks), sure=True)
            self._over.set_exception(error)

    # results go out

    def _flush(self) -> None:
        pending = self._pending
        while pending:
            first = pending[0]
            if isinstance(first, Assembly) and first.left:
                return
            self._emit(pending.popleft())
        if self._has_ended:
            self._end()

    def _give_up(self) -> None:
        """Emit what is back, around the rows that are not: the job ends here, and they may have been paid for."""
        task: Task | None = None
        for item in self._pending:
            if isinstance(item, Assembly):
                task = item.task
                for finished in item.finished():
                    self._emit(finished)
            elif isinstance(item, TaskEnd):
                task = None
                self._emit(TaskCut(item.task))
            else:
                self._emit(item)
        if task is not None:
            self._emit(TaskCut(task))

    def _count(self) -> None:
        self._meter.add(rows=self._finished, errors=self._failed)
        self._finished = self._failed = 0

    def _tick(self) -> None:
        self._ticker = self._loop.call_later(_TELL_SECONDS, self._tick)
        self._count()
        gauges = dict(self._model.gauges()) if hasattr(self._model, "gauges") else {}
        queued = gauges.pop("waiting", 0)
        self._meter.tell(
            {
                "rows_in_flight": max(0, self._flights.count - queued),
                "rows_waiting": len(self._buffer) + queued,
                **gauges,
            }
        )
