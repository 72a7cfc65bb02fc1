"""Running a row model: a window of rows in flight that spans blocks, tasks and shards, so that it never drains."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from gristmill.engines.protocol import RowModel
from gristmill.inputs.block import Block
from gristmill.replica.inference import Result, expand
from gristmill.replica.stream import Item, TaskEnd, TaskStart
from gristmill.spec.row_error import RowError

__all__ = ["run_window"]

_AHEAD = 16
"""Windows' worth of finished rows that may wait for one slow row before them."""


@dataclass(slots=True)
class _Pending:
    """An item on its way; a block is ready when all of its rows are back."""

    item: Item
    left: int = 0
    results: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    errors: dict[int, RowError] = field(default_factory=dict)


async def run_window(
    model: RowModel,
    items: AsyncIterator[Item],
    emit: Callable[[TaskStart | Result | TaskEnd], None],
    announce: Callable[[int, int, int], None],
) -> None:
    """Run every row of the items and emit the results in the items' order.

    Args:
        model: the loaded model.
        items: blocks between their tasks' starts and ends.
        emit: takes what is finished; called from this thread, in order.
        announce: told (task, start, stop) before rows of a careful task are run, one at a time.
    """
    pending: deque[_Pending] = deque()
    slots = asyncio.Semaphore(model.window)
    moved = asyncio.Event()
    waiting = 0
    running: set[asyncio.Task[None]] = set()

    def flush() -> None:
        nonlocal waiting
        while pending and pending[0].left == 0:
            entry = pending.popleft()
            if isinstance(entry.item, Block):
                waiting -= entry.item.rows.num_rows
                emit(_result(entry, entry.item, model.output_schema))
            else:
                emit(entry.item)

    async def run(entry: _Pending, index: int, row: Mapping[str, Any]) -> None:
        try:
            entry.results[index] = await model.infer_row(row)
        except asyncio.CancelledError as error:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            entry.errors[index] = RowError.of(error, step="infer")
        except Exception as error:  # noqa: BLE001 - a model may raise anything, and it is data here
            entry.errors[index] = RowError.of(error, step="infer")
        finally:
            slots.release()
            entry.left -= 1
            if entry.left == 0:
                flush()
                moved.set()

    careful: TaskStart | None = None
    async for item in items:
        entry = _Pending(item)
        pending.append(entry)
        if isinstance(item, TaskStart):
            careful = item if item.task.careful else None
        if isinstance(item, Block):
            waiting += item.rows.num_rows
            entry.errors.update(item.errors)
            entry.left = item.rows.num_rows - len(item.errors)
            for index, row in enumerate(item.model_rows.to_pylist()):
                if index in item.errors:
                    continue
                if careful is not None:
                    await _drained(running)
                    announce(careful.task.id, item.start + index, item.start + index + 1)
                await slots.acquire()
                task = asyncio.create_task(run(entry, index, row))
                running.add(task)
                task.add_done_callback(running.discard)
        flush()
        while waiting > _AHEAD * model.window and pending and pending[0].left:
            moved.clear()
            await moved.wait()
    await _drained(running)
    flush()


async def _drained(running: set[asyncio.Task[None]]) -> None:
    while running:
        await asyncio.wait(set(running))


def _result(entry: _Pending, block: Block, schema: pa.Schema) -> Result:
    rows = block.rows.num_rows
    good = sorted(entry.results)
    if not good:
        return Result(block.start, block.rows, None, entry.errors)
    columns = {name: [entry.results[index].get(name) for index in good] for name in schema.names}
    outputs, unfit = _columns(columns, schema)
    entry.errors.update({good[index]: error for index, error in unfit.items()})
    if len(good) < rows:
        outputs = expand(outputs, good, rows)
    return Result(block.start, block.rows, outputs, entry.errors)


def _columns(columns: dict[str, list[Any]], schema: pa.Schema) -> tuple[pa.RecordBatch, dict[int, RowError]]:
    """Arrow columns of Python values; the values that do not fit become errors."""
    arrays: list[pa.Array] = []
    errors: dict[int, RowError] = {}
    for column in schema:
        values = columns[column.name]
        try:
            arrays.append(pa.array(values, column.type))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            for index, value in enumerate(values):
                try:
                    pa.array([value], column.type)
                except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
                    errors.setdefault(index, RowError.of(error, step="output", reference=column.name))
            arrays.append(
                pa.array([None if index in errors else value for index, value in enumerate(values)], column.type)
            )
    return pa.RecordBatch.from_arrays(arrays, schema=schema), errors
