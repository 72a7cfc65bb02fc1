"""Batches of several threads in one call."""

import ctypes
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from gristmill.engines.protocol import EngineDeadError
from gristmill.inplace.together import Together
from tests.inplace.interrupts import interrupted

Infer = Callable[[pa.RecordBatch], pa.RecordBatch]


def doubled(batch: pa.RecordBatch) -> pa.RecordBatch:
    if pc.any(pc.less(batch["x"], 0)).as_py():
        raise ValueError(f"{min(batch['x'].to_pylist())} is below zero")
    return pa.record_batch({"twice": pc.multiply(batch["x"], 2)})


def in_threads(together: Together, values: list[int], *, threads: int, calls: int) -> dict[int, list[object]]:
    """What each thread got for its own value, call by call; all start together."""
    start = threading.Barrier(threads)

    def work(value: int) -> list[object]:
        start.wait()
        found: list[object] = []
        for call in range(calls):
            try:
                found.append(together(pa.record_batch({"x": [value, value + call]})).to_pydict()["twice"])
            except (ValueError, EngineDeadError, KeyboardInterrupt) as error:
                found.append(str(error))
        return found

    with ThreadPoolExecutor(threads) as pool:
        return dict(zip(values, pool.map(work, values), strict=True))


def test_each_thread_gets_the_outputs_of_its_own_rows() -> None:
    sizes = []
    deadline = time.monotonic() + 60

    def infer(batch: pa.RecordBatch) -> pa.RecordBatch:
        sizes.append(batch.num_rows)
        time.sleep(1e-4)  # others come in the meantime, during the first call all of them
        while len(sizes) == 1 and len(together._waiting) < 2 and time.monotonic() < deadline:
            time.sleep(1e-4)
        return doubled(batch)

    together = Together(infer)
    found = in_threads(together, [1, 10, 100], threads=3, calls=200)
    for value, outputs in found.items():
        assert outputs == [[2 * value, 2 * (value + call)] for call in range(200)]
    assert sum(sizes) == 3 * 200 * 2
    assert max(sizes) > 2


def test_rows_that_fail_fail_their_own_thread() -> None:
    found = in_threads(Together(doubled), [1, -5], threads=2, calls=50)
    assert found[1] == [[2, 2 * (1 + call)] for call in range(50)]
    assert set(found[-5]) == {"-5 is below zero"}


def test_a_dead_engine_is_told_to_all_and_asked_no_more() -> None:
    calls = []

    def infer(batch: pa.RecordBatch) -> pa.RecordBatch:
        calls.append(batch)
        raise EngineDeadError("gone")

    found = in_threads(Together(infer), [1, 2], threads=2, calls=1)
    assert found == {1: ["gone"], 2: ["gone"]}
    assert len(calls) <= 2


def test_what_interrupts_a_call_is_told_to_all_whose_rows_it_runs() -> None:
    def infer(batch: pa.RecordBatch) -> pa.RecordBatch:
        raise KeyboardInterrupt("stop")

    assert in_threads(Together(infer), [1, 2], threads=2, calls=50) == {1: ["stop"] * 50, 2: ["stop"] * 50}


def test_an_interrupted_thread_leaves_its_batch_unrun_and_others_go_on() -> None:
    runs, may_end, rows = threading.Event(), threading.Event(), []

    def infer(batch: pa.RecordBatch) -> pa.RecordBatch:
        rows.extend(batch["x"].to_pylist())
        runs.set()
        may_end.wait()
        return doubled(batch)

    together = Together(infer)
    started, interrupted = threading.Event(), threading.Event()

    def waits() -> None:
        try:
            started.set()
            together(pa.record_batch({"x": [2]}))
        except KeyboardInterrupt:
            interrupted.set()

    first = threading.Thread(target=together, args=[pa.record_batch({"x": [1]})])
    first.start()
    runs.wait()
    second = threading.Thread(target=waits)
    second.start()
    started.wait()
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(second.ident or 0), ctypes.py_object(KeyboardInterrupt))
    second.join()
    may_end.set()
    first.join()
    assert interrupted.is_set()
    found = in_threads(together, [3, 4], threads=2, calls=20)
    assert found[3] == [[6, 2 * (3 + call)] for call in range(20)]
    assert 2 not in rows


def test_what_is_no_error_of_a_row_is_told_to_all_whose_rows_it_ends() -> None:
    class Abort(BaseException):
        pass

    runs, brought = threading.Event(), threading.Event()

    def infer(batch: pa.RecordBatch) -> pa.RecordBatch:
        runs.set()
        brought.wait()
        if batch.num_rows > 1:
            raise ValueError("a row of them fails")
        if batch["x"][0].as_py() > 1:
            raise Abort
        return doubled(batch)

    together = Together(infer)
    found: dict[int, object] = {}

    def call(value: int) -> None:
        try:
            found[value] = together(pa.record_batch({"x": [value]})).to_pydict()["twice"]
        except Abort as error:
            found[value] = error

    threads = [threading.Thread(target=call, args=[value]) for value in (1, 2, 3)]
    threads[0].start()
    runs.wait()
    for thread in threads[1:]:
        thread.start()
    time.sleep(0.1)
    brought.set()
    for thread in threads:
        thread.join()
    assert found[1] == [2]
    assert {type(found[2]), type(found[3])} == {Abort}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # within a weak reference's callback
def test_wherever_an_interrupt_comes_the_next_calls_are_answered() -> None:
    together = Together(doubled)
    batch = pa.record_batch({"x": [2]})
    interrupted(lambda: [together(batch) for _ in range(6)], rounds=3_000, within=120e-6)
    found = in_threads(together, [1, 2], threads=2, calls=20)
    assert found[2] == [[4, 2 * (2 + call)] for call in range(20)]


def test_a_thread_alone_waits_for_nobody_after_others_have_left() -> None:
    together = Together(doubled)
    in_threads(together, [1, 2], threads=2, calls=5)
    for _ in range(300):
        assert together(pa.record_batch({"x": [3]})).to_pydict() == {"twice": [6]}


def test_an_answer_of_another_length_is_no_answer_for_others() -> None:
    def infer(batch: pa.RecordBatch) -> pa.RecordBatch:
        return doubled(batch.slice(0, batch.num_rows - 1)) if batch.num_rows > 2 else doubled(batch)

    found = in_threads(Together(infer), [1, 2], threads=2, calls=20)
    assert found[2] == [[4, 2 * (2 + call)] for call in range(20)]


@pytest.mark.parametrize("threads", [1, 4])
def test_any_number_of_threads_ends(threads: int) -> None:
    values = list(range(threads))
    assert len(in_threads(Together(doubled), values, threads=threads, calls=100)) == threads
