"""The order in which waiting rows are sent."""

import random
import weakref
from itertools import pairwise
from typing import Any

import pytest

from gristmill.replica.buffer import RowBuffer, WaitingRow


def _filled(keys: list[str], *, is_grouping: bool, capacity: int = 100) -> RowBuffer:
    buffer = RowBuffer(capacity=capacity)
    buffer.is_grouping = is_grouping
    for index, key in enumerate(keys):
        buffer.add(WaitingRow(None, index, {}, key=key))
    return buffer


def _rest(buffer: RowBuffer) -> list[str]:
    return [buffer.take().key for _ in range(len(buffer))]


def test_without_grouping_rows_leave_as_they_came() -> None:
    assert _rest(_filled(["c", "a", "b"], is_grouping=False)) == ["c", "a", "b"]


def test_a_sweep_goes_upwards_takes_along_what_arrives_ahead_and_begins_anew() -> None:
    buffer = _filled(["b", "d"], is_grouping=True)
    assert buffer.take().key == "b"
    buffer.add(WaitingRow(None, 2, {}, key="a"))
    buffer.add(WaitingRow(None, 3, {}, key="c"))
    assert _rest(buffer) == ["c", "d", "a"]


def test_rows_with_equal_keys_leave_in_the_order_of_arrival() -> None:
    buffer = _filled(["x"] * 20, is_grouping=True)
    assert [buffer.take().index for _ in range(20)] == list(range(20))


def test_a_sweep_is_about_twice_as_long_as_the_buffer() -> None:
    generator = random.Random(3)
    buffer = _filled([f"{generator.random():.6f}" for _ in range(500)], is_grouping=True, capacity=500)
    sent = []
    for index in range(20_000):
        sent.append(buffer.take().key)
        buffer.add(WaitingRow(None, index, {}, key=f"{generator.random():.6f}"))
    sweeps = sum(after < before for before, after in pairwise(sent))
    assert 15 <= sweeps <= 26


def test_a_row_that_too_many_have_overtaken_is_next() -> None:
    buffer = _filled(["b", "a", "c"], is_grouping=True, capacity=10)
    assert [buffer.take().key, buffer.take().key] == ["a", "b"]
    buffer.add(WaitingRow(None, 3, {}, key="aa"))
    taken = 0
    for number in range(200):  # rows that arrive sorted would keep the sweep from ever coming back
        buffer.add(WaitingRow(None, number, {}, key=f"d{number:04d}"))
        taken += 1
        if buffer.take().key == "aa":
            break
    assert taken <= 35
    assert buffer.take().key.startswith("d")


def test_rows_that_have_left_are_let_go_though_an_older_one_waits() -> None:
    class Watched(dict[str, Any]):
        """Cells whose end can be seen."""

        __hash__ = object.__hash__  # type: ignore[assignment]

    alive: weakref.WeakSet[Watched] = weakref.WeakSet()

    def add(number: int, key: str) -> None:
        cells = Watched()
        alive.add(cells)
        buffer.add(WaitingRow(None, number, cells, key=key))

    buffer = RowBuffer(capacity=1_000)
    buffer.is_grouping = True
    for number in range(10):
        add(number, f"b{number:03d}")
    buffer.take()
    add(10, "a")  # behind the sweep
    for number in range(11, 500):
        add(number, f"b{number:03d}")
        buffer.take()
    assert len(buffer) == 10
    assert len(alive) <= 11  # those that wait, and the one sent last


def test_the_oldest_row_can_be_taken_out_of_turn() -> None:
    buffer = _filled(["c", "a", "b", "d"], is_grouping=True)
    assert buffer.take().key == "a"
    assert buffer.take_oldest().key == "c"
    buffer.add(WaitingRow(None, 4, {}, key="0"))  # behind the sweep
    assert _rest(buffer) == ["b", "d", "0"]
    assert buffer.oldest is None
    with pytest.raises(IndexError):
        buffer.take_oldest()


def test_grouping_can_begin_and_end_at_any_time() -> None:
    buffer = _filled(["c", "a", "b", "d"], is_grouping=False)
    assert buffer.take().key == "c"
    buffer.is_grouping = True
    assert buffer.take().key == "a"
    buffer.is_grouping = False
    assert _rest(buffer) == ["b", "d"]
    with pytest.raises(IndexError):
        buffer.take()


@pytest.mark.parametrize("seed", range(20))
def test_every_row_leaves_once_whatever_happens(seed: int) -> None:
    generator = random.Random(seed)
    buffer = RowBuffer(capacity=generator.choice([1, 5, 50]))
    added, taken = 0, []
    for _ in range(3_000):
        action = generator.random()
        if action < 0.02:
            buffer.is_grouping = not buffer.is_grouping
        elif action < 0.03:
            buffer.restart()
        elif action < 0.55:
            buffer.add(WaitingRow(None, added, {}, key=generator.choice("abcdefgh") * generator.randrange(3)))
            added += 1
        elif buffer:
            taken.append((buffer.take_oldest() if action > 0.95 else buffer.take()).index)
    taken += [buffer.take().index for _ in range(len(buffer))]
    assert sorted(taken) == list(range(added))
