"""Processes that may end at any moment: what is asked of one that has ended has an answer all the same."""

import contextlib
import signal
from collections.abc import Iterable

import psutil


def lives(process: psutil.Process | int) -> bool:
    """Whether a process, or the one of a pid, runs; one that nobody has collected does not."""
    try:
        found = psutil.Process(process) if isinstance(process, int) else process
        return found.is_running() and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def command(process: psutil.Process) -> str:
    """What a process was started as; empty once it has ended."""
    try:
        return " ".join(process.cmdline()).strip()
    except psutil.NoSuchProcess:
        return ""


def family(process: psutil.Process | int) -> list[psutil.Process]:
    """A process, or the one of a pid, and all below it; empty once it has ended."""
    try:
        head = psutil.Process(process) if isinstance(process, int) else process
        return [head, *head.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def send(sent: signal.Signals, processes: Iterable[psutil.Process]) -> None:
    """Signal processes, of which some may have ended, or end when others do."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(sent)


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """Kill processes, of which some end when others do."""
    send(signal.SIGKILL, processes)
