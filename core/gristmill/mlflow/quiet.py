"""Calls of MLflow that say nothing to the user."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet"]


class _Silence:
    """No warnings while any thread is within it.

    Python keeps one list of filters for the whole process: of threads that each put theirs back as they found it, the
    last would put back another's.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._within = 0
        self._caught = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._within == 0:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.simplefilter("ignore")
            self._within += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._within -= 1
            if self._within == 0:
                self._caught.__exit__(None, None, None)


_SILENCE = _Silence()


@contextmanager
def quiet() -> Iterator[None]:
    """Within this, what MLflow and its database tools would log or warn of in this thread is dropped.

    MLflow's own switch for one thread is used: nobody's logging configuration is touched. Warnings know no threads:
    those of others are dropped as well, for as long as it lasts.
    """
    from mlflow.utils.logging_utils import should_suppress_logs_in_thread

    before = should_suppress_logs_in_thread.get()
    should_suppress_logs_in_thread.set(True)
    try:
        with _SILENCE:
            yield
    finally:
        should_suppress_logs_in_thread.set(before)
