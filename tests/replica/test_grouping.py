"""Rows that begin alike are sent together, in any mixture, and come out in the order of the input."""

import asyncio
import random
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.engines.protocol import RowModel
from gristmill.inputs.block import Block
from gristmill.plan.shards import Shard, Slice
from gristmill.replica.inference import Result
from gristmill.replica.messages import Task
from gristmill.replica.stream import Item, TaskEnd, TaskStart
from gristmill.spec.row_error import RowError
from tests.replica.test_window import Bench, until

GENERATOR = random.Random(7)
PREFIXES = ["".join(GENERATOR.choices("abcdefgh ", k=600)) for _ in range(200)]


class Recording(RowModel):
    """Notes the prompts in the order in which they are sent; each takes a moment of its own."""

    window = 64
    output_schema = pa.schema({"echo": pa.string()})

    def __init__(self, *, seed: int = 1, delay: float = 0.001) -> None:
        self.sent: list[str] = []
        self.flying = self.peak = 0
        self._random = random.Random(seed)
        self._delay = delay

    async def infer_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        self.sent.append(row["prompt"])
        self.flying += 1
        self.peak = max(self.peak, self.flying)
        await asyncio.sleep(self._delay * self._random.random())
        self.flying -= 1
        if row["prompt"].endswith("bad"):
            raise ValueError("bad")
        return {"echo": row["prompt"]}

    @property
    def switches(self) -> int:
        """How often a row begins otherwise than the one sent before it."""
        return sum(one[:600] != other[:600] for one, other in pairwise(self.sent))


class Grouped(Recording):
    def prefix_key(self, row: Mapping[str, Any]) -> str | None:
        return str(row["prompt"])


class Patient(Grouped):
    """Slower than the feed, however slow that is."""

    bench: Bench
    rows: int

    async def infer_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        room = self.bench.window.room
        await until(lambda: room.waiting >= 3_800 or room.read_rows == self.rows)
        return await super().infer_row(row)


def tasks(prompts: list[str], *, shard_rows: int = 1_000, block_rows: int = 250, careful: bool = False) -> list[Item]:
    """The prompts as shards, in order."""
    found: list[Item] = []
    for number, first in enumerate(range(0, len(prompts), shard_rows)):
        part = prompts[first : first + shard_rows]
        task = Task(number, Shard(number, (Slice("/f", 1, "", None, 0, len(part)),)), careful=careful)
        found.append(TaskStart(task))
        for at in range(0, len(part), block_rows):
            batch = pa.record_batch({"prompt": part[at : at + block_rows]})
            found.append(Block(number, at, batch, batch))
        found.append(TaskEnd(task))
    return found


def mixed(rows: int, *, prefixes: int = 200) -> list[str]:
    return [f"{PREFIXES[GENERATOR.randrange(prefixes)]} question {number}" for number in range(rows)]


def run(model: Recording, prompts: list[str], items: list[Item] | Iterator[Item] | None = None) -> Bench:
    """Run all prompts and see that every one came out, in order."""
    bench = Bench(model)
    if isinstance(model, Patient):
        model.bench, model.rows = bench, len(prompts)
    asyncio.run(bench.window.run(tasks(prompts) if items is None else items))
    results = [item for item in bench.emitted if isinstance(item, Result)]
    found = [value for result in results for value in result.rows.column(0).to_pylist()]
    assert found == prompts
    for result in results:
        echoes = [None] * result.rows.num_rows if result.outputs is None else result.outputs.column(0).to_pylist()
        for index, prompt in enumerate(result.rows.column(0).to_pylist()):
            assert echoes[index] == (None if index in result.errors else prompt)
    assert sorted(model.sent) == sorted(
        prompt
        for result in results
        for index, prompt in enumerate(result.rows.column(0).to_pylist())
        if index not in result.errors or result.errors[index].step == "infer"
    )
    return bench


def test_two_hundred_prefixes_in_any_mixture_are_sent_one_after_the_other() -> None:
    prompts = mixed(6_000)
    plain, grouped = Recording(), Patient()
    run(plain, prompts)
    run(grouped, prompts)
    assert plain.switches > 5_900
    assert grouped.switches <= 2 * 200
    assert grouped.peak == grouped.window


def test_few_rows_are_grouped_too() -> None:
    grouped = Patient()
    run(grouped, mixed(2_000))
    assert grouped.switches <= 2 * 200


def test_groups_are_as_long_as_the_buffer_lets_them_where_there_are_many_rows() -> None:
    prompts = mixed(30_000)
    model = Patient(delay=0)
    run(model, prompts)
    assert model.switches <= 200 * (30_000 / 8_192 + 2)


def test_the_first_rows_are_sent_before_the_last_are_read() -> None:
    prompts = mixed(3_000)
    model = Grouped()
    seen: list[int] = []

    def slowly() -> Iterator[Item]:
        given_items = tasks(prompts)
        yield from given_items[:2]
        while not model.sent:
            pass
        seen.append(len(model.sent))
        yield from given_items[2:]

    run(model, prompts, slowly())
    assert seen[0] >= 1


@pytest.mark.parametrize("order", ["grouped", "sorted"])
def test_rows_that_come_grouped_stay_grouped(order: str) -> None:
    if order == "sorted":
        prompts = sorted(mixed(6_000))
    else:
        prompts = [f"{PREFIXES[at]} question {GENERATOR.random()}" for at in range(200) for _ in range(30)]
    model = Grouped()
    run(model, prompts)
    assert model.switches <= 200
    assert model.sent == prompts


def test_rows_that_share_nothing_keep_their_order() -> None:
    prompts = ["".join(GENERATOR.choices("abcdefgh ", k=200)) for _ in range(6_000)]
    model = Grouped()
    run(model, prompts)
    assert model.sent == prompts


def test_rows_that_all_begin_alike_keep_their_order() -> None:
    prompts = [PREFIXES[0] + "".join(GENERATOR.choices("abcdefgh ", k=60)) for _ in range(3_000)]
    model = Grouped()
    run(model, prompts)
    assert model.sent == prompts


def test_a_model_without_keys_keeps_the_order() -> None:
    class Off(Grouped):
        prefix_key = None  # type: ignore[assignment]

    prompts = mixed(2_000)
    model = Off()
    run(model, prompts)
    assert model.sent == prompts


def test_careful_rows_are_not_grouped() -> None:
    prompts = mixed(500)
    model = Grouped(delay=0)
    run(model, prompts, tasks(prompts, careful=True))
    assert model.sent == prompts


def test_a_key_that_cannot_be_made_is_no_row_lost() -> None:
    class Broken(Grouped):
        def prefix_key(self, row: Mapping[str, Any]) -> str | None:
            if "7" in row["prompt"][-3:]:
                raise ValueError("no JSON")
            return None if "3" in row["prompt"][-3:] else str(row["prompt"])

    run(Broken(), mixed(1_500))


def test_rows_read_ahead_are_bounded_while_one_row_is_slow() -> None:
    class Stuck(Grouped):
        async def infer_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
            if row["prompt"] == prompts[0]:
                self.sent.append(prompts[0])
                await until(lambda: len(self.sent) >= 15_000)
                for _ in range(30):
                    await asyncio.sleep(0.01)
                most.append(len(self.sent))
                return {"echo": prompts[0]}
            return await super().infer_row(row)

    prompts = mixed(40_000)
    most: list[int] = []
    run(Stuck(delay=0), prompts)
    assert most[0] <= 4 * 4_096 + 1_000


def test_large_rows_fill_the_buffer_by_their_bytes() -> None:
    class Held(Grouped):
        async def infer_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
            waiting.append(bench.window.room.waiting)
            return await super().infer_row(row)

    waiting: list[int] = []
    prompts = [f"{PREFIXES[at % 20]}{at:06d}" + "x" * 500_000 for at in range(600)]
    bench = Bench(Held(delay=0.01))
    asyncio.run(bench.window.run(tasks(prompts, block_rows=10)))
    assert 20 <= max(waiting) <= 80  # of 1 MB with their keys, in blocks of ten


rows = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["", "bad", "unread"])), min_size=1, max_size=400)


@settings(max_examples=40)
@given(
    rows=rows,
    block=st.integers(1, 60),
    shard=st.integers(1, 150),
    window=st.sampled_from([1, 2, 7, 64]),
    seed=st.integers(0, 99),
)
def test_any_rows_come_out_once_in_order_with_their_own_errors(
    rows: list[tuple[int, str]], block: int, shard: int, window: int, seed: int
) -> None:
    prompts = [f"{PREFIXES[prefix]} {number} {kind}" for number, (prefix, kind) in enumerate(rows)]
    items = [
        Block(
            item.shard,
            item.start,
            item.rows,
            item.model_rows,
            {
                index: RowError("OSError", "gone", "resolve")
                for index, prompt in enumerate(item.rows.column(0).to_pylist())
                if prompt.endswith("unread")
            },
        )
        if isinstance(item, Block)
        else item
        for item in tasks(prompts, shard_rows=shard, block_rows=block)
    ]
    model = Grouped(seed=seed)
    model.window = window
    bench = run(model, prompts, items)
    results = [item for item in bench.emitted if isinstance(item, Result)]
    kinds = [
        result.errors[index].step if index in result.errors else ""
        for result in results
        for index in range(result.rows.num_rows)
    ]
    assert kinds == [{"": "", "bad": "infer", "unread": "resolve"}[kind] for _, kind in rows]
    assert model.peak <= window
