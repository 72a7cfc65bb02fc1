"""How much may be on its way."""

import sys

from gristmill.replica.footprint import footprint
from gristmill.replica.room import Room
from gristmill.spec.row_error import RowError

MIB = 1024**2


def _read(room: Room, rows: int, *, input_bytes: int = 0) -> None:
    room.read_rows += rows
    room.read_waiting += rows
    room.read_input_bytes += rows * input_bytes


def _send(room: Room, rows: int) -> None:
    room.sent_rows += rows


def test_a_footprint_counts_all_that_is_nested() -> None:
    top = [{"token": "a" * 50, "logprob": -0.5, "top": [{"token": "b" * 50, "logprob": -1.5}]} for _ in range(300)]
    texts = 300 * (sys.getsizeof("a" * 50) * 2 + sys.getsizeof(0.5) * 2)
    assert texts < footprint({"content": top}) < texts + 300 * 700


def test_the_first_result_already_bounds_how_many_are_held() -> None:
    room = Room(window=64, has_keys=True)
    assert room.most == 16_384
    room.finished({"text": "x" * MIB})
    assert 200 < room.most <= 256
    assert room.capacity <= 64


def test_results_that_grow_later_are_noticed() -> None:
    room = Room(window=64, has_keys=True)
    for _ in range(1_000):
        room.finished({"text": "short"})
    assert room.most == 16_384
    for _ in range(256 * 20):
        room.finished({"text": "x" * MIB})
    assert room.most < 500


def test_failed_rows_take_little_room() -> None:
    room = Room(window=64, has_keys=True)
    for _ in range(100):
        room.finished(RowError("ValueError", "bad", "infer"))
    assert room.most == 16_384


def test_two_windows_worth_is_always_allowed() -> None:
    room = Room(window=64, has_keys=False)
    room.finished({"text": "x" * 100 * MIB})
    assert room.most == 128


def test_large_rows_are_not_read_ahead_of_a_slow_one_beyond_their_bytes() -> None:
    room = Room(window=16, has_keys=False)
    for _ in range(10):
        _read(room, 20, input_bytes=MIB)
        _send(room, 20)
    assert room.is_there()
    for _ in range(3):
        _read(room, 20, input_bytes=MIB)
        _send(room, 20)
    assert room.most == 256
    assert not room.is_there()
    room.wrote(100, 100 * MIB)
    assert room.is_there()


def test_no_result_is_wanted_while_too_many_wait_to_be_written() -> None:
    room = Room(window=4, has_keys=False)
    for _ in range(8):
        assert not room.is_full
        room.finished({"text": "x" * 100 * MIB})
    assert room.is_full
    room.wrote(1, 0)
    assert not room.is_full
