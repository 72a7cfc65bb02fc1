"""The runner as a process.

`python -m gristmill.runner HOME JOB GENERATION` runs a job. `python -m gristmill.runner - [MODULE ...]` imports what
the workers will need, then waits for a line on its standard input that says the same; without one it ends.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import sys
from pathlib import Path

__all__ = ["main"]

_OURS = ("gristmill.executors.local", "gristmill.runner.execute")


def main(arguments: list[str]) -> int:
    """Run one job; 0 when it is done, 1 when it is not."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the client: the job goes on
    is_warm = arguments[0] == "-"
    _import([*_OURS, *(arguments[1:] if is_warm else [])])
    if is_warm:
        line = sys.stdin.readline()
        if not line:
            return 0
        home, job_id, generation, log = json.loads(line)
        if log is not None:
            _print_to(Path(log))
    else:
        home, job_id, generation = arguments
    return _run(home, job_id, int(generation))


def _run(home: str, job_id: str, generation: int) -> int:
    from gristmill.jobs.record import JobRecord
    from gristmill.runner.execute import execute
    from gristmill.settings import Settings
    from gristmill.spec.enums import JobStatus
    from gristmill.storage.storage import Storage

    storage = Storage(Settings.load(home=home))
    record = JobRecord(storage, storage.resolve(home, what="home"), job_id)
    state = execute(storage, record, record.run(generation))
    return 0 if state.status is JobStatus.DONE else 1


def _import(modules: list[str]) -> None:
    """Import what can be: a module that cannot be here fails where it is used, with its reason.

    Nothing of it is garbage, so collecting would only cost time now, and copies of pages in the forked workers later.
    """
    gc.disable()
    for name in modules:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.freeze()
    gc.enable()


def _print_to(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # libraries' exit handlers have nothing left to do, and some take a second over it
