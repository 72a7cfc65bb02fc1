"""vLLM over models that embed or classify."""

import os
from collections.abc import Sequence
from typing import Any

from gristmill.engines.vllm.library.arguments import Setup
from gristmill.engines.vllm.library.turn import leave_process, taking_turn

__all__ = ["PoolingEngine", "open_pooling"]


class PoolingEngine:
    """vLLM over a model that embeds or classifies: whole batches, since each row is one step of it."""

    def __init__(self, llm: Any) -> None:
        self._llm = llm

    def embed(self, texts: Sequence[str], *, truncate: int | None) -> list[tuple[list[float], int]]:
        """The vector and the number of tokens of each text."""
        outputs = self._llm.embed(list(texts), use_tqdm=False, tokenization_kwargs=_truncation(truncate))
        return [(output.outputs.embedding, len(output.prompt_token_ids)) for output in outputs]

    def classify(self, texts: Sequence[str], *, truncate: int | None) -> list[tuple[list[float], int]]:
        """The probability of each class, and the number of tokens, of each text."""
        outputs = self._llm.classify(list(texts), use_tqdm=False, tokenization_kwargs=_truncation(truncate))
        return [(output.outputs.probs, len(output.prompt_token_ids)) for output in outputs]

    def close(self) -> None:
        """Free what it holds; another engine may be opened in this process then."""
        self._llm.llm_engine.engine_core.shutdown()
        self._llm = None
        leave_process()


def _truncation(tokens: int | None) -> dict[str, Any] | None:
    return None if tokens is None else {"truncate_prompt_tokens": tokens}


def open_pooling(setup: Setup) -> PoolingEngine:
    """Load a model that embeds or classifies; `prepare_process` comes first."""
    from vllm import LLM
    from vllm.engine.arg_utils import EngineArgs

    given = {name: getattr(setup.engine, name) for name in EngineArgs.__dataclass_fields__}
    given["disable_log_stats"] = True
    if os.environ.get("VLLM_ENABLE_V1_MULTIPROCESSING") == "0":
        given["distributed_executor_backend"] = "uni"
    with taking_turn():
        return PoolingEngine(LLM(**given))
