"""Telling whether a process is alive: by its id and start time on the same machine; elsewhere it cannot be told."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["is_alive", "process_of", "this_process"]


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """The start time of a live process in clock ticks; None when there is none (a zombie counts as none)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def this_process() -> dict[str, Any]:
    """What identifies this process for `is_alive`."""
    return process_of(os.getpid())


def process_of(pid: int) -> dict[str, Any]:
    """What identifies a process of this machine for `is_alive`."""
    return {
        "host": socket.gethostname(),
        "boot": _boot(),
        "namespace": _namespace(),
        "pid": pid,
        "started": _started(pid),
    }


def is_alive(process: Mapping[str, Any]) -> bool | None:
    """Whether the process runs; None when it cannot be told from here (another machine or container)."""
    if not process or not Path("/proc/self/stat").exists():
        return None
    if (process.get("host"), process.get("boot"), process.get("namespace")) != (
        socket.gethostname(),
        _boot(),
        _namespace(),
    ):
        return None
    started = process.get("started")  # None: it had ended already when it was looked at
    return started is not None and _started(int(process["pid"])) == started
