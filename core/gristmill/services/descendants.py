"""Processes that a process has started, found in the process table; none on systems that have no `/proc`."""

import contextlib
import os
from collections import defaultdict
from pathlib import Path

__all__ = ["descendants", "session_members"]

_PROC = Path("/proc")


def _table() -> dict[int, list[str]]:
    """For each process that is no zombie: the fields of its `stat` from the state on."""
    found = {}
    try:
        names = [entry.name for entry in _PROC.iterdir() if entry.name.isdecimal()]
    except FileNotFoundError:
        return {}
    for name in names:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            fields = (_PROC / name / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if fields[0] not in "ZX":
                found[int(name)] = fields
    return found


def descendants(pid: int) -> list[int]:
    """The children of a process, their children, and so on."""
    children = defaultdict(list)
    for child, fields in _table().items():
        children[int(fields[1])].append(child)
    found, left = [], list(children[pid])
    while left:
        one = left.pop()
        found.append(one)
        left += children[one]
    return found


def session_members(leader: int, *, started: str) -> list[int]:
    """What is left of a session whose leader is gone.

    As long as a session has members, its number is given to no new process: where a process of that number lives, the
    session has ended and the number is another's. Members that are older than the leader are nobody's of it either.

    Args:
        leader: the id of the process that began the session.
        started: when it started, in clock ticks since the machine did.

    Example:
        >>> session_members(os.getsid(0), started="0") if os.getsid(0) == os.getpid() else []
        []
    """
    table = _table()
    if leader in table:
        return []
    return [
        pid
        for pid, fields in table.items()
        if int(fields[3]) == leader and int(fields[19]) >= int(started) and _is_mine(pid)
    ]


def _is_mine(pid: int) -> bool:
    try:
        return (_PROC / str(pid)).stat().st_uid == os.getuid()
    except FileNotFoundError:
        return False
