"""Creating a backfill on SQLite: nobody else may write meanwhile."""

import contextlib
import signal
import sqlite3
import time
from collections.abc import Iterator

from tests.airflow.standalone import Component, Standalone
from tests.processes import family, send

_WRITERS: tuple[Component, ...] = ("scheduler", "triggerer", "dag-processor")


@contextlib.contextmanager
def still(airflow: Standalone) -> Iterator[None]:
    """Hold the components that write to the database, and the tasks, whose heartbeats do; none holds a lock meanwhile.

    A backfill whose creation meets a lock deletes its runs, those that it was to repeat included, and the scheduler
    falls over those that it had in hand. Airflow says so: it is not supported on SQLite under concurrent access.
    """
    writers = [process for name in _WRITERS if (process := airflow.component(name)) is not None]
    held = [one for process in writers for one in family(process)]
    deadline = time.monotonic() + 30
    try:
        send(signal.SIGSTOP, held)
        time.sleep(0.3)  # for what they have asked of the API server
        while _is_locked(airflow):
            assert time.monotonic() < deadline, "the database stays locked"
            send(signal.SIGCONT, held)
            time.sleep(0.05)
            send(signal.SIGSTOP, held)
        yield
    finally:
        send(signal.SIGCONT, held)


def _is_locked(airflow: Standalone) -> bool:
    with contextlib.closing(sqlite3.connect(airflow.home / "airflow.db", timeout=0.2)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        database.rollback()
        return False
