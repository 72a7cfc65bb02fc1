"""Children that die or freeze at a chosen change of the disk, by the interpreter's audit hook: no code is replaced."""

import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from gristmill.errors import ConflictError, OutputError, OutputExistsError

DONE, CONFLICT, REFUSED, BROKEN = 0, 3, 4, 1

_CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link"}


def _changes(event: str, args: tuple[Any, ...], root: str) -> bool:
    if event == "open":
        path, mode, flags = args
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) if mode is None else set(mode) & set("wxa+")
        return bool(writes) and str(path).startswith(root)
    # removing a tree names files relative to an open folder
    return event in _CHANGES and (not str(args[0]).startswith("/") or str(args[0]).startswith(root))


def fork(action: Callable[[], object], *, root: str, at_change: Callable[[int], None]) -> int:
    """Run `action` in a child that calls `at_change(n)` before its n-th change below `root`; returns its process id."""
    child = os.fork()
    if child:
        return child
    count = 0

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal count
        if _changes(event, args, root):
            count += 1
            at_change(count)

    code = BROKEN
    try:
        sys.addaudithook(hook)
        action()
        code = DONE
    except ConflictError:
        code = CONFLICT
    except (OutputError, OutputExistsError):
        code = REFUSED
    except BaseException:  # noqa: BLE001 - the child's end, whatever it was
        traceback.print_exc()
    finally:
        os._exit(code)


def kill_at(n: int) -> Callable[[int], None]:
    def at_change(count: int) -> None:
        if count == n:
            os.kill(os.getpid(), signal.SIGKILL)

    return at_change


def freeze_at(n: int) -> Callable[[int], None]:
    def at_change(count: int) -> None:
        if count == n:
            os.kill(os.getpid(), signal.SIGSTOP)

    return at_change


def dawdle(seed: int) -> Callable[[int], None]:
    randomness = random.Random(seed)

    def at_change(count: int) -> None:
        if randomness.random() < 0.4:
            time.sleep(randomness.random() * 0.002)

    return at_change


def wait(child: int) -> int:
    """The exit code of a child; minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def wait_until_frozen(child: int) -> int | None:
    """None when the child has frozen; its exit code when it has ended instead."""
    status = os.waitpid(child, os.WUNTRACED)[1]
    return None if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status)
