"""A mend of vLLM 0.32 on CPUs: seeded rows with long prompts."""

from functools import cache
from typing import Any

from gristmill.engines.vllm.library.arguments import Setup
from gristmill.engines.vllm.library.release import is_cpu

__all__ = ["mend_seeds"]


def __getattr__(name: str) -> Any:
    """The class `SeededCpuWorker`, made when vLLM asks for it by name: its base is vLLM's own."""
    if name != "SeededCpuWorker":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _seeded_cpu_worker()


@cache
def _seeded_cpu_worker() -> type:
    from vllm.v1.worker.cpu_worker import CPUWorker

    class SeededCpuWorker(CPUWorker):  # type: ignore[misc]
        """vLLM 0.32's worker for CPUs, but for seeded rows whose prompts are read in parts.

        Each part ends with a token that nobody reads. vLLM takes it back from the row's random numbers by turning their
        offset back, which those of CPUs do not have: the engine dies. Here that token does without them.
        """

        def sample_tokens(self, grammar_output: Any) -> Any:
            batch = self.model_runner.input_batch
            unread = self.model_runner.discard_request_mask.np[: batch.num_reqs].nonzero()[0].tolist()
            aside = {at: batch.generators.pop(at) for at in unread if at in batch.generators}
            try:
                return super().sample_tokens(grammar_output)
            finally:
                batch.generators.update(aside)

    return SeededCpuWorker


def mend_seeds(setup: Setup) -> None:
    """Have vLLM use the mended worker, where it would choose its own for CPUs."""
    if is_cpu() and setup.engine.worker_cls == "auto":
        setup.engine.worker_cls = f"{__name__}.SeededCpuWorker"
