"""A part of vLLM's sampler for tests: slows the engine down, tells that it is at work, and dies of some rows."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from vllm.v1.sample.logits_processor import LogitsProcessor

__all__ = ["DEADLY_SEED", "Slow"]

DEADLY_SEED = 666
"""A row with this seed kills the process that the engine runs in."""

_STEP = 0.01  # seconds


class Slow(LogitsProcessor):
    """Sleeps at each step of the engine, and writes a byte to a file named by its process."""

    def __init__(self, vllm_config: Any, device: Any, is_pin_memory: bool) -> None:
        self._file = Path(os.environ["GRISTMILL_TEST_STEPS"]) / str(os.getpid())

    def is_argmax_invariant(self) -> bool:
        return False

    def update_state(self, batch_update: Any) -> None:
        for _, params, _, _ in batch_update.added if batch_update else ():
            if params.seed == DEADLY_SEED:
                os.kill(os.getpid(), signal.SIGKILL)

    def apply(self, logits: Any) -> Any:
        time.sleep(_STEP)
        with self._file.open("ab") as file:
            file.write(b".")
        return logits
