"""A process that starts others and outlives none of them: at the end of its standard input it kills all it started.

Run as a file, with a folder as its argument: what is started prints into `server.log` there, and the folder is removed
at the end. Each line of its standard input is a command, a JSON list, that is started with the guard's environment. The
guard is the parent of whatever its children leave behind, so that a process which moved to a session of its own is
found all the same, and a killed one does not stay a zombie.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

_PR_SET_CHILD_SUBREAPER = 36


def _reap() -> None:
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            time.sleep(0.2)


def _kill_all() -> None:
    while found := [one for one in psutil.Process().children(recursive=True) if _lives(one)]:
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(0.05)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended since it was listed
        return False


def main() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become the reaper of orphans")
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background has it ignored, and its children inherit that
    threading.Thread(target=_reap, daemon=True).start()
    folder = Path(sys.argv[1])
    with (folder / "server.log").open("ab", buffering=0) as log:
        try:
            for line in sys.stdin:
                subprocess.Popen(json.loads(line), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        finally:
            _kill_all()
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
