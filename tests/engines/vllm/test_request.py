from typing import Any

import pytest
from tests.preloaded import Preloaded

from gristmill.engines.vllm.library.request import _needs_text


@pytest.mark.parametrize(
    ("params", "needs"),
    [
        ({}, False),
        ({"response_format": {"type": "text"}}, False),
        ({"response_format": {"type": "json_object"}}, True),
        ({"structured_outputs": {"json": {"type": "object"}}}, True),
        ({"structured_outputs": {"choice": ["yes", "no"]}}, True),
        ({"structured_outputs": {"choice": ["yes", ""]}}, False),
        ({"structured_outputs": {"regex": "[0-9]+"}}, True),
        ({"structured_outputs": {"regex": "[0-9]*"}}, False),
        ({"structured_outputs": {"regex": "(?<name"}}, False),
        ({"structured_outputs": {"grammar": "root ::= "}}, False),
    ],
)
def test_an_empty_answer_breaks_the_forms_that_do_not_allow_one(params: dict[str, Any], needs: bool) -> None:
    assert _needs_text(params) is needs


def test_the_likeliest_tokens_are_those_of_the_first_ranks_whatever_was_drawn(vllm_process: Preloaded) -> None:
    drawn, all_of_them = vllm_process.call(_read)
    assert (drawn.token, drawn.logprob) == ("drawn", -6.0)
    assert drawn.top == [("best", -1.0), ("second", -2.0)]
    assert [text for text, _ in all_of_them.top] == ["best", "second", "drawn"]


def _read() -> Any:
    from vllm.logprobs import Logprob

    from gristmill.engines.vllm.library.request import _token_logprob

    found = {7: Logprob(-6.0, 40, "drawn"), 1: Logprob(-1.0, 1, "best"), 2: Logprob(-2.0, 2, "second")}
    return _token_logprob(7, found, 2), _token_logprob(7, found, -1)
