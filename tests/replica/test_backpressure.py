"""Results that are too large to wait for a slow row hold the others up, and never each other."""

import asyncio
import queue
import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.engines.protocol import RowModel
from gristmill.inputs.block import Block
from gristmill.plan.shards import Shard
from gristmill.replica.assembly import Assembly
from gristmill.replica.messages import Task
from gristmill.replica.meter import Meter
from gristmill.replica.stream import Item, TaskEnd, TaskStart
from gristmill.replica.window import Window
from gristmill.spec.row_error import RowError
from tests.replica.test_window import until


class Huge(dict[str, Any]):
    """A result that says that it is large, and is not."""

    def __sizeof__(self) -> int:
        return 2**24  # sixteen of them fill what may be held


class Large(RowModel):
    """Gives large results; the first row is slow."""

    output_schema = pa.schema({"y": pa.int64()})

    def __init__(self, *, window: int, seed: int = 1, has_keys: bool = False) -> None:
        self.window = window
        self.finished = 0
        self.flying = self.peak = 0
        self.release = asyncio.Event()  # of the first row
        self.begin = asyncio.Event()  # of the others
        self.begin.set()
        self.prefix_key = self._key if has_keys else None
        self._random = random.Random(seed)

    def _key(self, row: Mapping[str, Any]) -> str:
        return f"{row['x'] * 7 % 10}" * 600

    async def infer_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        self.flying += 1
        self.peak = max(self.peak, self.flying)
        if row["x"] == 0:
            await self.release.wait()
        else:
            await self.begin.wait()
            await asyncio.sleep(0.001 * self._random.random())
        self.flying -= 1
        self.finished += 1
        return Huge(y=row["x"])


def blocks(sizes: list[int], *, failed: int = 0) -> list[Item]:
    """One task a block; each `failed`-th row has failed before."""
    found: list[Item] = []
    x = 0
    for number, size in enumerate(sizes):
        task = Task(number, Shard(number, ()))
        batch = pa.record_batch({"x": pa.array(range(x, x + size), pa.int64())})
        error = RowError("OSError", "gone", "resolve")
        bad = {at: error for at in range(size) if failed and x + at and not (x + at) % failed}
        found += [TaskStart(task), Block(number, 0, batch, batch, bad), TaskEnd(task)]
        x += size
    return found


@contextmanager
def written(model: RowModel) -> Iterator[tuple[Window, list[Any]]]:
    """A window whose results are written by a thread, and what was written."""
    done: queue.SimpleQueue[Any] = queue.SimpleQueue()
    found: list[Any] = []

    def write() -> None:
        while (item := done.get()) is not None:
            if isinstance(item, Assembly):
                found.extend(None if result is None else result["y"] for result in item.results)
                window.wrote(item.rows.num_rows, item.rows.nbytes)

    window = Window(model, emit=done.put, send=lambda event, sure=False: None, meter=Meter(lambda event: None))
    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield window, found
    finally:
        done.put(None)
        writer.join()


@pytest.mark.parametrize("has_keys", [False, True])
def test_a_slow_first_row_lets_few_large_results_come_however_many_rows_were_read(has_keys: bool) -> None:
    async def scenario() -> int:
        model = Large(window=8, has_keys=has_keys)
        work = asyncio.create_task(window_of(model).run(blocks([100] * 30)))
        await until(lambda: model.finished >= 8)
        for _ in range(30):
            await asyncio.sleep(0.01)
        finished = model.finished
        model.release.set()
        await work
        return finished

    found: list[Any] = []

    def window_of(model: RowModel) -> Window:
        def emit(item: Any) -> None:
            if isinstance(item, Assembly):
                found.extend(result and result["y"] for result in item.results)
                window.wrote(item.rows.num_rows, item.rows.nbytes)

        window = Window(model, emit=emit, send=lambda event, sure=False: None, meter=Meter(lambda event: None))
        return window

    held = asyncio.run(scenario())
    assert held <= 100 + 2 * 16 + 8  # the rows of the first block may come all the same
    assert found == list(range(3_000))


def test_the_window_is_full_again_once_results_have_been_written() -> None:
    async def scenario() -> None:
        model.begin.clear()
        work = asyncio.create_task(whole.run(blocks([25] * 5)))
        await until(lambda: whole.room.read_rows == 125 and model.flying == 8)
        for _ in range(5):
            await asyncio.sleep(0.01)  # all of them wait in the buffer now
        model.begin.set()
        await until(lambda: model.finished >= 24)
        await until(lambda: model.flying == 1)
        model.peak = 0
        model.release.set()
        await work

    model = Large(window=8)
    with written(model) as (whole, found):
        asyncio.run(scenario())
    assert found == list(range(125))
    assert model.peak == 8


@settings(max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=30),
    failed=st.sampled_from([0, 1, 2, 7]),
    window=st.sampled_from([1, 2, 8, 64]),
    seed=st.integers(0, 99),
    has_keys=st.booleans(),
)
def test_all_rows_come_out_in_order_though_few_results_may_wait(
    sizes: list[int], failed: int, window: int, seed: int, has_keys: bool
) -> None:
    async def scenario() -> None:
        asyncio.get_running_loop().call_later(0.01, model.release.set)
        await asyncio.wait_for(whole.run(blocks(sizes, failed=failed)), 20)

    model = Large(window=window, seed=seed, has_keys=has_keys)
    with written(model) as (whole, found):
        asyncio.run(scenario())
    assert found == [None if failed and x and not x % failed else x for x in range(sum(sizes))]
