"""The Ray actor around a worker."""

import pickle
import sys
import threading
import traceback
from collections.abc import Callable, Sequence

from gristmill.executors.mailbox import Mailbox, Reply
from gristmill.executors.ray_metrics import RayMetrics
from gristmill.replica.capture import capture_output
from gristmill.replica.channel import Channel
from gristmill.replica.messages import Command, Event, Fatal, Log, WorkerSpec

__all__ = ["RayWorker", "Run", "payload"]

Run = Callable[[WorkerSpec, Channel], None]
"""A worker's loop, such as `gristmill.replica.worker.run_worker`."""


def payload(run: Run, spec: WorkerSpec) -> bytes:
    """What an actor is made from; opened once its module search path is set."""
    return pickle.dumps((run, spec))


class _Channel:
    """A mailbox whose events are counted among Ray's metrics."""

    def __init__(self, mailbox: Mailbox, metrics: RayMetrics) -> None:
        self.receive = mailbox.receive
        self._mailbox = mailbox
        self._metrics = metrics

    def send(self, event: Event, *, sure: bool = False) -> None:
        self._metrics.apply(event)
        self._mailbox.send(event, sure=sure)


class RayWorker:
    """Runs a worker's loop in a thread of its own, and carries its messages.

    Args:
        content: see `payload`.
        sys_path: the client's module search path; what is missing here is appended.
        worker: the worker's number, for its metrics.
    """

    def __init__(self, content: bytes, sys_path: Sequence[str], worker: int) -> None:
        sys.path.extend(entry for entry in sys_path if entry not in sys.path)
        self._mailbox = Mailbox()
        self._worker = worker
        threading.Thread(target=self._main, args=(content,), name="worker", daemon=True).start()

    def exchange(self, turn: int, received: int, commands: Sequence[Command]) -> Reply:
        """See `Mailbox.exchange`."""
        return self._mailbox.exchange(turn, received, commands)

    def _main(self, content: bytes) -> None:
        reason = "its loop has ended"
        try:
            run, spec = pickle.loads(content)
        except Exception as error:  # noqa: BLE001 - told to the runner; the same would happen in any other worker
            self._mailbox.send(Fatal(type(error).__name__, f"the job does not load in a Ray worker: {error}"))
            reason = str(error)
        else:
            try:
                with capture_output(lambda text: self._mailbox.send(Log(text))):
                    run(spec, _Channel(self._mailbox, RayMetrics(job=spec.job, worker=self._worker)))
            except BaseException as error:  # noqa: BLE001 - the end of the worker, whatever it is; told to the runner
                last = traceback.extract_tb(error.__traceback__)[-1]
                reason = f"{type(error).__name__}: {error} ({last.filename}:{last.lineno})"
        finally:
            self._mailbox.end(reason)
