"""The local executor: workers are child processes on this machine. Without Ray.

A child and not the runner itself runs the model, because a row that kills its process must not take the runner along.
The first workers are forked from the runner itself, which has done their imports, while it has no other threads yet;
those that replace dead ones come from a fork server, because a process with threads cannot be forked safely. One that
is killed is started anew.

Each worker leads a session of its own, so that the processes its model starts can be ended with it.
"""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from gristmill.errors import PlacementError
from gristmill.replica.capture import capture_output
from gristmill.replica.messages import Command, Died, Event, Log, WorkerSpec
from gristmill.replica.worker import run_worker

__all__ = ["LocalExecutor"]

_PR_SET_PDEATHSIG = 1
_TRIES = 5
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class _Child:
    """A worker process, and what tells of it.

    Attributes:
        process: the process.
        connection: our end of its pipe.
        death: a descriptor that is ready once the process has ended, whatever became of those that it started.
        is_ours: whether it was forked from this process, and not from the fork server.
    """

    process: BaseProcess
    connection: Connection
    death: int
    is_ours: bool

    def kill(self) -> None:
        """End it and what it has started."""
        pid = self.process.pid
        assert pid
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it leads no group yet, or none is left
            os.killpg(pid, signal.SIGKILL)
        self.process.kill()

    def forget(self) -> None:
        """Free what we hold of it."""
        self.connection.close()
        if self.is_ours:
            os.close(self.death)


class LocalExecutor:
    """Implements `gristmill.executors.protocol.Executor` with child processes.

    Args:
        preload: modules for the fork server to import; those that cannot be imported are left out.
    """

    def __init__(self, *, preload: Sequence[str] = ()) -> None:
        self._server = multiprocessing.get_context("forkserver")
        self._server.set_forkserver_preload(["gristmill.replica.worker", *preload])
        self._workers: dict[int, _Child] = {}
        self._spec: WorkerSpec | None = None

    def start(self, spec: WorkerSpec, *, workers: int) -> None:
        """Start the processes."""
        self._spec = spec
        may_fork = _can_be_forked() and not multiprocessing.current_process().daemon
        context = multiprocessing.get_context("fork") if may_fork else self._server
        for worker in range(workers):
            self._start(worker, context)

    def restart(self, worker: int) -> None:
        """Start one process again.

        Raises:
            PlacementError: the fork server cannot be kept alive.
        """
        for _ in range(_TRIES):
            try:
                return self._start(worker, self._server)
            except (EOFError, ConnectionError):  # it was killed while it started this one
                time.sleep(_PAUSE_SECONDS)  # once it is seen to have ended, the next try starts another
        raise PlacementError(
            f"a worker could not be started: the process that forks workers was killed {_TRIES} times in a row; if the"
            " machine has run out of memory, ask for more by memory_requests, or run fewer workers"
        )

    def _start(self, worker: int, context: BaseContext) -> None:
        is_ours = context is not self._server
        ours, theirs = multiprocessing.Pipe()
        # a forked child would keep its siblings' connections, and its own other end, open
        foreign = [child.connection for child in self._workers.values()] + [ours] if is_ours else []
        process: BaseProcess = context.Process(  # type: ignore[attr-defined]
            target=_main, args=(self._spec, theirs, foreign), name=f"worker-{worker}", daemon=True
        )
        try:
            process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()  # a process that was started all the same ends when it finds ours closed
        # the sentinel of a forked process is a pipe, which its own children keep open; the fork server writes into its
        death = os.pidfd_open(process.pid or 0) if is_ours else process.sentinel
        self._workers[worker] = _Child(process, ours, death, is_ours)

    def send(self, worker: int, command: Command) -> None:
        """Write a command to a process's pipe."""
        child = self._workers.get(worker)
        if child is None:
            return  # its death has been told
        try:
            child.connection.send(command)
        except (BrokenPipeError, ConnectionResetError):
            return  # its death is told by poll

    def poll(self, timeout: float) -> Sequence[tuple[int, Event]]:
        """All events in the pipes; a closed pipe is a death, and so is the end of the process."""
        if not self._workers:
            time.sleep(timeout)
            return []
        connections = [child.connection for child in self._workers.values()]
        ready = set(wait([*connections, *(child.death for child in self._workers.values())], timeout))
        found: list[tuple[int, Event]] = []
        for worker, child in list(self._workers.items()):
            has_ended = child.death in ready
            if has_ended:
                child.kill()  # what it has started, which may hold its pipe open
            if not has_ended and child.connection not in ready:
                continue
            try:
                while child.connection.poll():
                    found.append((worker, child.connection.recv()))
            except (EOFError, ConnectionResetError):
                has_ended = True
            if has_ended:
                found.append((worker, Died(_reason(child))))
                child.forget()
                del self._workers[worker]
        return found

    def close(self) -> None:
        """Kill the processes and collect them."""
        for child in self._workers.values():
            child.kill()
        for child in self._workers.values():
            wait([child.death], 10)
            _ = child.process.exitcode  # collects it
            child.forget()
        self._workers = {}

    @property
    def dashboard(self) -> str | None:
        """There is none."""
        return None


def _reason(child: _Child) -> str:
    """How a process has ended; one that has only closed its pipe is ended now."""
    is_late = not wait([child.death], 5)
    child.kill()
    code = child.process.exitcode
    if is_late or code is None:
        return "its process closed the connection"
    if code < 0:
        return f"its process was killed by {signal.Signals(-code).name}"
    return f"its process ended with exit code {code}"


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
    """The worker's end of its pipe. Processes that the model forks close theirs: it would hide the worker's death."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._pid = os.getpid()
        os.register_at_fork(after_in_child=connection.close)

    def receive(self) -> Command:
        try:
            command: Command = self._connection.recv()
        except (EOFError, OSError):
            os._exit(1)  # the runner is gone: nobody will use what this process does
        return command

    def send(self, event: Event, *, sure: bool = False) -> None:  # noqa: ARG002 - what is in the pipe outlives its writer
        if os.getpid() != self._pid:
            return  # a child of the model's: it is not the worker, and the lock is not shared with it
        with self._lock:
            self._connection.send(event)


def _main(spec: WorkerSpec, connection: Connection, foreign: Sequence[Connection]) -> None:
    """A worker process."""
    for other in foreign:
        other.close()
    os.setsid()
    # for its parent, which ends it at its exit; models may have children, such as the workers of a data loader
    multiprocessing.current_process().daemon = False
    if sys.platform == "linux":
        # the parent is the runner, or the fork server, which ends as soon as the runner does, even by SIGKILL
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = _Channel(connection)
    try:
        with capture_output(lambda text: channel.send(Log(text))):
            run_worker(spec, channel)
    except BaseException:  # noqa: BLE001 - the end of the worker, whatever it is
        channel.send(Log(traceback.format_exc()))
        os._exit(1)  # at once: what the model has started may never end by itself
    os._exit(0)
