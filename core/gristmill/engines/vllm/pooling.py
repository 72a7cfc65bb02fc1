"""The functions `embed` and `classify` of a vLLM model: a column of text becomes vectors, or labels."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from gristmill.engines.protocol import BatchModel, LoadContext
from gristmill.engines.vllm.library import PoolingEngine
from gristmill.models.columns import match_columns
from gristmill.models.signature import Feature, Param, Signature

__all__ = ["CLASSIFY", "EMBED", "PoolingModel"]

_TEXT = "text"
_PARAMS = (Param("truncate_prompt_tokens", pa.int64(), None),)

EMBED = Signature(
    (Feature(_TEXT, pa.string()),),
    (Feature("embedding", pa.list_(pa.float32())), Feature("prompt_tokens", pa.int64())),
    _PARAMS,
)
"""A column `text` becomes a vector."""

CLASSIFY = Signature(
    (Feature(_TEXT, pa.string()),),
    (
        Feature("label", pa.string()),
        Feature("score", pa.float64()),
        Feature("probs", pa.list_(pa.float32())),
        Feature("prompt_tokens", pa.int64()),
    ),
    _PARAMS,
)
"""A column `text` becomes the likeliest class, its probability, and that of each class."""


class PoolingModel(BatchModel):
    """Runs batches on an engine.

    Args:
        engine: the engine.
        context: the column, the function and its params.
        labels: the classes' names.
    """

    def __init__(self, engine: PoolingEngine, context: LoadContext, *, labels: Mapping[int, str]) -> None:
        self._engine = engine
        self._labels = labels
        self._classifies = context.function == "classify"
        self._place = match_columns([_TEXT], context.input_schema)[0]
        self._truncate = context.params.get("truncate_prompt_tokens")
        self._tokens = 0.0

    def infer(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """One row of vectors or labels for each row of text; raises for texts that are null or too long."""
        texts = batch.column(self._place).to_pylist()
        if any(not isinstance(text, str) for text in texts):
            raise ValueError("text: is null; it must be text")
        run = self._engine.classify if self._classifies else self._engine.embed
        results = run(texts, truncate=self._truncate)
        vectors = pa.array([vector for vector, _ in results], pa.list_(pa.float32()))
        counts = [tokens for _, tokens in results]
        self._tokens += sum(counts)
        columns: dict[str, Any] = {"embedding": vectors}
        if self._classifies:
            best = [max(range(len(vector)), key=vector.__getitem__) for vector, _ in results]
            columns = {
                "label": pa.array([self._labels.get(one, str(one)) for one in best], pa.string()),
                "score": pa.array([vector[one] for one, (vector, _) in zip(best, results, strict=True)], pa.float64()),
                "probs": vectors,
            }
        return pa.RecordBatch.from_pydict({**columns, "prompt_tokens": pa.array(counts, pa.int64())})

    def take_metrics(self) -> Mapping[str, float]:
        """Tokens since this was last asked."""
        tokens, self._tokens = self._tokens, 0.0
        return {"prompt_tokens": tokens}

    def close(self) -> None:
        """Free the model."""
        self._engine.close()
