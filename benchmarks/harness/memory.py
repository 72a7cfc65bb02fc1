"""Memory of a process and of all that it started, detached ones included."""

import ctypes
import itertools
import os
import threading
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Peak", "TreeSampler", "adopt_orphans", "descendants"]

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Make this process the parent of every detached descendant, so that it is still found, and waited for."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _parents() -> dict[int, int]:
    """The parent of every living process."""
    parents = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                stat = Path(entry.path, "stat").read_text()
            except OSError:
                continue
            state, parent = stat.rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(entry.name)] = int(parent)
    return parents


def descendants(root: int, besides: frozenset[int] = frozenset()) -> list[int]:
    """The processes below `root`, without `besides` and what is below those."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents().items():
        children.setdefault(parent, []).append(pid)
    found, waiting = [], [root]
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            if pid not in besides:
                found.append(pid)
                waiting.append(pid)
    return found


@dataclass
class Peak:
    """Bytes of resident memory.

    Attributes:
        tree: the largest sum over all processes at one moment. Pages that processes share count once for each.
        once: the same sum with shared pages counted once (proportional set sizes), looked at less often.
        process: the high-water mark of the largest process.
        processes: the largest number of processes at one moment.
    """

    tree: int = 0
    once: int = 0
    process: int = 0
    processes: int = 0


class TreeSampler(threading.Thread):
    """Samples everything below this process until it is stopped.

    Args:
        besides: processes that do not count: servers, earlier leftovers.
        interval: seconds between samples.
    """

    def __init__(self, besides: frozenset[int], interval: float = 0.05) -> None:
        super().__init__(name="memory", daemon=True)
        self._besides = besides
        self._interval = interval
        self._stopped = threading.Event()
        self.peak = Peak()

    def run(self) -> None:
        """Sample."""
        root = os.getpid()
        for number in itertools.count():
            if self._stopped.wait(self._interval):
                return
            found = descendants(root, self._besides)
            sizes = [self._resident(pid) for pid in found]
            if number % (5 if self._interval < 0.25 else 2) == 0:
                self.peak.once = max(self.peak.once, sum(_proportional(pid) for pid in found))
            self.peak.tree = max(self.peak.tree, sum(sizes))
            self.peak.processes = max(self.peak.processes, len(sizes))

    def _resident(self, pid: int) -> int:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return 0
        fields = dict(line.split(":", 1) for line in status.splitlines() if line.startswith("Vm"))
        self.peak.process = max(self.peak.process, _bytes(fields.get("VmHWM")))
        return _bytes(fields.get("VmRSS"))

    def stop(self) -> Peak:
        """Stop, and say what was seen."""
        self._stopped.set()
        self.join()
        self.peak.tree = max(self.peak.tree, self.peak.process)  # a spike between two samples
        return self.peak


def _proportional(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((_bytes(line.split(":", 1)[1]) for line in lines if line.startswith("Pss:")), 0)


def _bytes(field: str | None) -> int:
    return int(field.split()[0]) * 1024 if field else 0
