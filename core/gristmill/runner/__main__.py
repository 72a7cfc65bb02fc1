"""The runner as a process: `python -m gristmill.runner HOME JOB GENERATION`."""

import os
import signal
import sys

from gristmill.jobs.record import JobRecord
from gristmill.runner.execute import execute
from gristmill.settings import Settings
from gristmill.spec.enums import JobStatus
from gristmill.storage.storage import Storage

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Run one job; 0 when it is done, 1 when it is not."""
    home, job_id, generation = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the client: the job goes on
    storage = Storage(Settings.load(home=home))
    record = JobRecord(storage, storage.resolve(home, what="home"), job_id)
    state = execute(storage, record, record.run(int(generation)))
    return 0 if state.status is JobStatus.DONE else 1


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # libraries' exit handlers have nothing left to do, and some take a second over it
