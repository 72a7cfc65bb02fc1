"""The local executor: workers are child processes on this machine. Without Ray.

A child and not the runner itself runs the model, because a row that kills its process must not take the runner along.
The first workers are forked from the runner itself, which has done their imports, while it has no other threads yet;
those that replace dead ones come from a fork server, because a process with threads cannot be forked safely.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from gristmill.replica.capture import capture_output
from gristmill.replica.messages import Command, Died, Event, Log, WorkerSpec
from gristmill.replica.worker import run_worker

__all__ = ["LocalExecutor"]

_PR_SET_PDEATHSIG = 1


class LocalExecutor:
    """Implements `gristmill.executors.protocol.Executor` with child processes.

    Args:
        preload: modules for the fork server to import; those that cannot be imported are left out.
    """

    def __init__(self, *, preload: Sequence[str] = ()) -> None:
        self._server = multiprocessing.get_context("forkserver")
        self._server.set_forkserver_preload(["gristmill.replica.worker", *preload])
        self._workers: dict[int, tuple[BaseProcess, Connection]] = {}
        self._spec: WorkerSpec | None = None

    def start(self, spec: WorkerSpec, *, workers: int) -> None:
        """Start the processes."""
        self._spec = spec
        may_fork = _can_be_forked() and not multiprocessing.current_process().daemon
        context = multiprocessing.get_context("fork") if may_fork else self._server
        for worker in range(workers):
            self._start(worker, context)

    def restart(self, worker: int) -> None:
        """Start one process again."""
        self._start(worker, self._server)

    def _start(self, worker: int, context: BaseContext) -> None:
        ours, theirs = multiprocessing.Pipe()
        # a forked child would keep its siblings' connections, and its own other end, open
        foreign = [connection for _, connection in self._workers.values()] if context is not self._server else []
        foreign += [ours] if context is not self._server else []
        process = context.Process(  # type: ignore[attr-defined]
            target=_main, args=(self._spec, theirs, foreign), name=f"worker-{worker}", daemon=True
        )
        process.start()
        theirs.close()
        self._workers[worker] = (process, ours)

    def send(self, worker: int, command: Command) -> None:
        """Write a command to a process's pipe."""
        try:
            self._workers[worker][1].send(command)
        except (BrokenPipeError, ConnectionResetError):
            return  # its death is told by poll

    def poll(self, timeout: float) -> Sequence[tuple[int, Event]]:
        """All events in the pipes; a closed pipe is a death."""
        owners = {connection: worker for worker, (_, connection) in self._workers.items() if not connection.closed}
        if not owners:
            time.sleep(timeout)
            return []
        found: list[tuple[int, Event]] = []
        for ready in wait(list(owners), timeout):
            assert isinstance(ready, Connection)
            worker = owners[ready]
            try:
                while ready.poll():
                    found.append((worker, ready.recv()))
            except (EOFError, ConnectionResetError):
                ready.close()
                found.append((worker, Died(self._reason(worker))))
        return found

    def _reason(self, worker: int) -> str:
        process = self._workers[worker][0]
        process.join(5)
        code = process.exitcode
        if code is None:
            process.kill()
            return "its process closed the connection"
        if code < 0:
            return f"its process was killed by {signal.Signals(-code).name}"
        return f"its process ended with exit code {code}"

    def close(self) -> None:
        """Kill the processes and collect them."""
        for process, connection in self._workers.values():
            process.kill()
            connection.close()
        for process, _ in self._workers.values():
            process.join(10)

    @property
    def dashboard(self) -> str | None:
        """There is none."""
        return None


def _can_be_forked() -> bool:
    """Whether this process has no thread but this one, those of native libraries included.

    A thread that holds a lock during a fork leaves it locked in the child for good. The allocator's own is prepared for
    that (jemalloc stops it around forks).
    """
    tasks = Path("/proc/self/task")
    if not tasks.is_dir():
        return False
    names = [(task / "comm").read_text().strip() for task in tasks.iterdir()]
    return len([name for name in names if not name.startswith("jemalloc_bg")]) == 1


class _Channel:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def receive(self) -> Command:
        try:
            command: Command = self._connection.recv()
        except (EOFError, OSError):
            os._exit(1)  # the runner is gone: nobody will use what this process does
        return command

    def send(self, event: Event, *, sure: bool = False) -> None:  # noqa: ARG002 - what is in the pipe outlives its writer
        with self._lock:
            self._connection.send(event)


def _main(spec: WorkerSpec, connection: Connection, foreign: Sequence[Connection]) -> None:
    """A worker process."""
    for other in foreign:
        other.close()
    if sys.platform == "linux":
        # the parent is the runner, or the fork server, which ends as soon as the runner does, even by SIGKILL
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = _Channel(connection)
    with capture_output(lambda text: channel.send(Log(text))):
        run_worker(spec, channel)
    os._exit(0)
