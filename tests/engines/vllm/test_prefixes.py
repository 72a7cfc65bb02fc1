"""Rows that begin alike are sent together: measured on what vLLM says it had in its cache."""

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa

import gristmill

PREFIXES, ROWS_EACH = 40, 10
SCARCE = ("--block-size=32", "--num-gpu-blocks-override=160", "--max-num-seqs=16")
"""A cache of 5,120 tokens: a dozen rows, where the prefixes alone have some ten thousand."""


def test_rows_that_begin_alike_find_their_beginning_in_a_scarce_cache(llama: str, run_job: Callable[..., Any]) -> None:
    long = [f"You are assistant number {number}. " + f"Rule {number} holds. " * 40 for number in range(PREFIXES)]
    rows = [
        [{"role": "system", "content": long[at % PREFIXES]}, {"role": "user", "content": f"What is {at}?"}]
        for at in range(PREFIXES * ROWS_EACH)
    ]
    table = pa.table({"at": range(len(rows)), "messages": [json.dumps(messages) for messages in rows]})

    def run(*, grouped: bool) -> tuple[list[str], int, int]:
        outcome = run_job(
            llama,
            table,
            params={"temperature": 0, "max_completion_tokens": 4},
            arguments=SCARCE,
            engine={"response_column": "text", **({} if grouped else {"prefix_grouping": False})},
        )
        assert outcome.status is gristmill.JobStatus.DONE, outcome.message
        assert [row["at"] for row in outcome.rows] == list(range(len(rows)))
        usages = [row["usage"] for row in outcome.rows]
        prompt = sum(usage["prompt_tokens"] for usage in usages)
        cached = sum(usage["prompt_tokens_details"]["cached_tokens"] for usage in usages)
        assert outcome.manifest.tokens == {
            "prompt_tokens": prompt,
            "cached_tokens": cached,
            "output_tokens": sum(usage["completion_tokens"] for usage in usages),
        }
        return [row["text"] for row in outcome.rows], prompt, cached

    texts, prompt, cached = run(grouped=True)
    as_they_come, same, few = run(grouped=False)
    assert texts == as_they_come
    assert prompt == same
    assert cached > 0.6 * prompt
    assert few < 0.3 * prompt
