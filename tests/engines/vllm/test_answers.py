import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa

import gristmill

CONVERSATIONS: list[list[dict[str, Any]]] = [[{"role": "user", "content": f"What is {i}?"}] for i in range(30)]
GREEDY = {"temperature": 0, "max_completion_tokens": 12}


def test_a_job_gives_the_answers_that_vllm_gives(
    llama: str, answers: Callable[..., list[str]], run_job: Callable[..., Any]
) -> None:
    table = pa.table({"id": range(30), "messages": [json.dumps(conversation) for conversation in CONVERSATIONS]})
    outcome = run_job(llama, table, params=GREEDY, engine={"output_prefix": "chat_"})
    assert outcome.status is gristmill.JobStatus.DONE
    texts = [row["chat_choices"][0]["message"]["content"] for row in outcome.rows]
    assert len(set(texts)) == 30  # each conversation has an answer of its own, so that none can be mistaken
    assert dict(zip((row["id"] for row in outcome.rows), texts, strict=True)) == dict(
        enumerate(answers(llama, CONVERSATIONS, temperature=0, max_tokens=12))
    )
    assert outcome.manifest.tokens["output_tokens"] == sum(
        row["chat_usage"]["completion_tokens"] for row in outcome.rows
    )


def test_a_row_is_answered_by_the_adapter_that_it_names(
    llama: str, adapters: dict[str, str], answers: Callable[..., list[str]], run_job: Callable[..., Any]
) -> None:
    named = ["a", "b", None]
    table = pa.table({"messages": [json.dumps(CONVERSATIONS[0])] * 3, "model": named})
    outcome = run_job(
        llama,
        table,
        params=GREEDY,
        arguments=["--max-loras=1"],  # fewer places than adapters
        engine={"adapters": adapters, "param_columns": ["model"], "output_prefix": "chat_", "response_column": "text"},
    )
    assert outcome.status is gristmill.JobStatus.DONE, outcome.message
    of = {name: adapters.get(name or "") for name in named}
    alone = {
        name: answers(llama, CONVERSATIONS[:1], adapter=adapter, temperature=0, max_tokens=12)[0]
        for name, adapter in of.items()
    }
    assert {row["model"]: row["text"] for row in outcome.rows} == alone
    assert len(set(alone.values())) == 3
