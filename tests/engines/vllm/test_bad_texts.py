"""Texts that cannot be embedded or sorted, among those that can."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

import gristmill

LONG = "word and " * 2_000
GOOD = ["hello there", "", "日本語 🦊", "good bye", "\x00", " "]


@pytest.mark.parametrize(("model", "column"), [("bert", "embedding"), ("bert_classifier", "probs")])
def test_a_text_that_is_null_or_too_long_harms_no_other(
    model: str, column: str, run_job: Callable[..., Any], request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(model)
    texts = [GOOD[0], None, *GOOD[1:3], LONG, *GOOD[3:]]
    table = pa.table({"number": range(len(texts)), "TEXT": pa.array(texts, pa.string())})
    outcome = run_job(folder, table, on_error="record", max_errors=100)
    assert outcome.status is gristmill.JobStatus.DONE, outcome.message
    assert [row["number"] for row in outcome.rows] == list(range(len(texts)))
    for row in outcome.rows:
        if row["TEXT"] in GOOD:
            assert row["_error"] is None
            assert row[column]
        else:
            assert row[column] is None
            assert ("null" if row["TEXT"] is None else "token") in row["_error"]["message"]
    assert outcome.manifest.errors == 2
    alone = run_job(folder, pa.table({"text": GOOD[:1]}))
    assert alone.rows[0][column] == pytest.approx(outcome.rows[0][column], abs=1e-5)
    assert outcome.manifest.tokens["prompt_tokens"] == sum(
        row["prompt_tokens"] for row in outcome.rows if row["_error"] is None
    )


def test_long_texts_are_cut_where_the_job_says_so(bert: str, run_job: Callable[..., Any]) -> None:
    outcome = run_job(bert, pa.table({"text": [LONG, "hello there"]}), params={"truncate_prompt_tokens": 16})
    assert outcome.status is gristmill.JobStatus.DONE, outcome.message
    assert outcome.rows[0]["prompt_tokens"] == 16
    assert outcome.rows[1]["prompt_tokens"] < 16
