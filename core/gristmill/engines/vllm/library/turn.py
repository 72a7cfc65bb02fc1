"""One engine at a time in each process: vLLM keeps its groups of processes in its modules."""

import contextlib
import gc
import threading
from collections.abc import Iterator

from gristmill.errors import ModelError

__all__ = ["leave_process", "taking_turn"]

_TURN = 60.0
"""Seconds to wait for the engine before to be gone."""

_alone = threading.Lock()


@contextlib.contextmanager
def taking_turn() -> Iterator[None]:
    """Wait for this process's turn and keep it, unless what is done inside fails; `leave_process` gives it up.

    Raises:
        ModelError: another model runs here.
    """
    if not _alone.acquire(timeout=_TURN):
        raise ModelError(
            "another vLLM model runs in this process, which can hold one; wait for its job, or use a pool of kind "
            "'local', whose workers are processes of their own"
        )
    try:
        yield
    except BaseException:
        leave_process()
        raise


def leave_process() -> None:
    """Let vLLM forget the engine that was here; the next one may come."""
    from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

    try:
        gc.collect()
        cleanup_dist_env_and_memory()
    finally:
        _alone.release()
