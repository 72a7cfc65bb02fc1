"""Keeping numerical libraries to the threads a worker was given."""

import contextlib
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

__all__ = ["ThreadLimit", "libraries_left_alone"]

_IS_LEFT_ALONE = ContextVar("_IS_LEFT_ALONE", default=False)


@contextlib.contextmanager
def libraries_left_alone() -> Iterator[None]:
    """Within this, limits are made that limit nothing: for models in a process that is its user's own.

    Example:
        >>> with libraries_left_alone():
        ...     limit = ThreadLimit(1)
        >>> limit.apply()  # numerical libraries keep the threads that they have
    """
    token = _IS_LEFT_ALONE.set(True)
    try:
        yield
    finally:
        _IS_LEFT_ALONE.reset(token)


class ThreadLimit:
    """Limits BLAS and OpenMP in the thread that calls it; OpenMP remembers its limit per thread.

    BLAS gets a thread less than OpenMP: its threads spin while they wait for work, which takes the core away that reads
    and writes the rows (a fifth of the time of a linear model on two cores); OpenMP's sleep.

    Args:
        threads: how many threads the model may use.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._is_none = _IS_LEFT_ALONE.get()
        self._applied: set[int] = set()
        self._controller: Any = None
        self._limits: list[Any] = []

    def apply(self) -> None:
        """Limit the calling thread; cheap after the first time."""
        current = threading.get_ident()
        if self._is_none or current in self._applied:
            return
        try:
            from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]
        except ImportError:  # comes with scikit-learn; without it the environment's limits hold
            self._applied.add(current)
            return
        if self._controller is None:
            self._controller = ThreadpoolController()
        self._limits.append(self._controller.limit(limits={"blas": max(1, self._threads - 1), "openmp": self._threads}))
        self._applied.add(current)

    def release(self) -> None:
        """Give the process back the threads it had; for a worker that shares its process with others."""
        for limit in reversed(self._limits):
            limit.restore_original_limits()
        self._limits.clear()
        self._applied.clear()
