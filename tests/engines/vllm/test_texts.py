from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from tests.preloaded import Preloaded

import gristmill

TEXTS = ["hello there", "good bye", "what is a baker's dozen?", ""]


def own(model: str, task: str) -> list[list[float]]:
    """What vLLM itself makes of the texts."""
    from vllm import LLM

    llm = LLM(model, runner="pooling", dtype="float32", enforce_eager=True, distributed_executor_backend="uni")
    if task == "embed":
        return [output.outputs.embedding for output in llm.embed(TEXTS, use_tqdm=False)]
    return [output.outputs.probs for output in llm.classify(TEXTS, use_tqdm=False)]


def test_texts_become_the_vectors_that_vllm_makes(
    bert: str, run_job: Callable[..., Any], vllm_process: Preloaded
) -> None:
    outcome = run_job(bert, pa.table({"id": range(4), "text": TEXTS}))
    assert outcome.status is gristmill.JobStatus.DONE, outcome.message
    vectors = {row["id"]: row["embedding"] for row in outcome.rows}
    for number, vector in enumerate(vllm_process.call(own, bert, "embed")):
        assert len(vector) == 128
        assert vectors[number] == pytest.approx(vector, abs=1e-5)


def test_texts_are_sorted_as_vllm_sorts_them(
    bert_classifier: str, run_job: Callable[..., Any], vllm_process: Preloaded
) -> None:
    outcome = run_job(bert_classifier, pa.table({"id": range(4), "text": TEXTS}))
    assert outcome.status is gristmill.JobStatus.DONE, outcome.message
    rows = {row["id"]: row for row in outcome.rows}
    for number, chances in enumerate(vllm_process.call(own, bert_classifier, "classify")):
        assert rows[number]["probs"] == pytest.approx(chances, abs=1e-5)
        likeliest = max(range(3), key=chances.__getitem__)
        assert rows[number]["label"] == ("red", "green", "blue")[likeliest]
        assert rows[number]["score"] == pytest.approx(chances[likeliest], abs=1e-5)
