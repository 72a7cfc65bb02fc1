"""The local executor: real processes, and the processes that models start in them."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest

import gristmill
from gristmill.executors.local import LocalExecutor
from gristmill.replica.messages import Died, Event, Fatal, Log, Ready
from gristmill.settings import Settings
from tests.bench import until
from tests.executors.loops import ROOT, worker_spec
from tests.processes import command, lives

LIMIT = 90.0


class Running:
    """An executor on one worker, with the events that it has told so far."""

    def __init__(self, executor: LocalExecutor) -> None:
        self.executor = executor
        self.events: list[tuple[int, Event]] = []

    def until(self, enough: Callable[[], object]) -> None:
        """Poll until `enough` holds."""
        deadline = time.monotonic() + LIMIT
        while not enough():
            assert time.monotonic() < deadline, f"not told within {LIMIT} s; told: {self.events}"
            self.events += self.executor.poll(0.2)

    def of(self, kind: type) -> list[Any]:
        """The events of one kind."""
        return [event for _, event in self.events if isinstance(event, kind)]

    def child(self) -> int:
        """The process that the model has started."""
        self.until(lambda: "child " in self.printed())
        return int(self.printed().split("child ")[1].split()[0])

    def printed(self) -> str:
        """What the workers printed."""
        return "".join(event.text for event in self.of(Log))


Start = Callable[[str], Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts an executor on one worker, which does what the given code says while it loads its model."""
    executor = LocalExecutor()

    def start(code: str) -> Running:
        (tmp_path / "acting.py").write_text(f"import multiprocessing, os, signal, time\n{code}\ndef f(rows): ...\n")
        spec = replace(worker_spec("python:acting:f"), engine="python_generic", sys_path=(str(tmp_path), *sys.path))
        executor.start(spec, workers=1)
        return Running(executor)

    yield start
    executor.close()


FORK = """
child = os.fork()
if child == 0:
    print("not from the worker")
    time.sleep(600)
print("child", child)
"""


def test_a_death_is_told_though_a_child_of_the_model_lives_and_the_child_is_ended(start: Start) -> None:
    running = start(f"{FORK}print('last words')\nos.kill(os.getpid(), signal.SIGKILL)")
    running.until(lambda: running.of(Died))
    assert "SIGKILL" in running.of(Died)[0].reason
    assert isinstance(running.events[-1][1], Died)
    assert "last words" in running.printed()
    assert "not from the worker" not in running.printed()
    child = running.child()
    running.until(lambda: not lives(child))


def test_a_worker_that_has_died_is_started_again_and_dies_again(start: Start) -> None:
    running = start("os._exit(3)")
    for deaths in (1, 2):
        running.until(lambda deaths=deaths: len(running.of(Died)) == deaths)
        running.executor.restart(0)
    assert {event.reason for event in running.of(Died)} == {"its process ended with exit code 3"}


def fork_server() -> psutil.Process:
    """The fork server of this process."""
    return next(child for child in psutil.Process().children() if "multiprocessing.forkserver" in command(child))


def test_a_worker_is_replaced_though_the_fork_server_is_killed_meanwhile(start: Start) -> None:
    running = start("os._exit(3)")
    running.until(lambda: len(running.of(Died)) == 1)
    running.executor.restart(0)  # the first that comes from the fork server
    running.until(lambda: len(running.of(Died)) == 2)
    server = fork_server()
    server.suspend()  # it takes the next request and does not answer
    restarting = threading.Thread(target=running.executor.restart, args=(0,))
    restarting.start()
    restarting.join(1)
    assert restarting.is_alive()
    server.kill()
    restarting.join(LIMIT)
    assert not restarting.is_alive()
    running.until(lambda: len(running.of(Died)) == 3)
    assert {event.reason for event in running.of(Died)} == {"its process ended with exit code 3"}
    assert fork_server().pid != server.pid


def test_closing_ends_what_the_model_has_started(start: Start) -> None:
    running = start(FORK)
    child = running.child()
    running.until(lambda: running.of(Ready))
    running.executor.close()
    running.until(lambda: not lives(child))


def test_a_model_may_use_processes(start: Start) -> None:
    running = start(
        "with multiprocessing.get_context('fork').Pool(2) as pool:\n    print('sum', sum(pool.map(abs, [-1, -2])))"
    )
    running.until(lambda: running.of(Ready) or running.of(Fatal) or running.of(Died))
    assert "sum 3" in running.printed()


def test_an_executor_that_is_never_closed_does_not_hold_up_the_exit() -> None:
    code = f"""
import faulthandler, sys; sys.path.insert(0, {ROOT!r})
faulthandler.dump_traceback_later(50, exit=True)  # says where it hangs
from gristmill.executors.local import LocalExecutor
from tests.bench import until
from tests.executors.loops import worker_spec
if __name__ == "__main__":
    executor = LocalExecutor()
    executor.start(worker_spec("echo:"), workers=1)
    print(executor._workers[0].process.pid)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    until(lambda: not lives(int(done.stdout)), "the worker outlives its executor's process", seconds=LIMIT)


def test_a_job_whose_model_uses_processes_and_dies_with_some_goes_on(tmp_path: Path, settings: Settings) -> None:
    # the workers of a job are forked from its runner, not from a fork server
    (tmp_path / "forking.py").write_text(
        "import multiprocessing, os, signal, time\n"
        "def f(frame):\n"
        "    if (frame['x'] == 7).any():\n"
        "        if os.fork() == 0:\n"
        "            time.sleep(600)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    with multiprocessing.get_context('fork').Pool(1) as pool:\n"
        "        return frame[['x']].assign(y=pool.map(abs, frame['x'].tolist()))[['y']]\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        job = gristmill.run_batch(
            "python:forking:f",
            pa.table({"x": [-1, 7, -3]}),
            compute_pool="local",
            output_spec=gristmill.OutputSpec(location=tmp_path / "out", mode="overwrite"),
            job_spec=gristmill.JobSpec(on_error="record"),
            settings=settings,
        )
        assert job.wait(LIMIT) is gristmill.JobStatus.DONE, job.message
    finally:
        sys.path.remove(str(tmp_path))
    rows = gristmill.read_output(tmp_path / "out", settings=settings).to_pylist()
    assert [row["y"] for row in rows] == [1, None, 3]
    assert "SIGKILL" in rows[1]["_error"]["message"]
