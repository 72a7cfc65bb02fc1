"""Calls of MLflow that say nothing to the user."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet"]


@contextmanager
def quiet() -> Iterator[None]:
    """Within this, what MLflow and its database tools would log or warn of in this thread is dropped.

    MLflow's own switch for one thread is used: nobody's logging configuration is touched.
    """
    from mlflow.utils.logging_utils import should_suppress_logs_in_thread

    before = should_suppress_logs_in_thread.get()
    should_suppress_logs_in_thread.set(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        should_suppress_logs_in_thread.set(before)
