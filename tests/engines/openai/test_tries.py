"""When a request is tried again, and what a refusal means; without a clock and without a network."""

import pytest

from gristmill.engines.openai.errors import RequestError
from gristmill.engines.openai.gate import Gate
from gristmill.engines.openai.refusal import concerns_content, is_answer, is_too_large
from gristmill.engines.openai.tries import SPARED, SPARED_SECONDS, Tries


def test_only_the_first_refusal_concerns_all_while_others_get_through() -> None:
    tries = Tries(8, answers=0)
    assert tries.refused(answers=10, refusals=0, now=0.0)
    assert not tries.refused(answers=20, refusals=1, now=1.0)
    assert tries.refused(answers=20, refusals=2, now=2.0)  # nobody got through
    assert tries.refused(answers=22, refusals=13, now=3.0)  # ten others were refused, two answered
    assert not tries.is_over


def test_one_that_is_refused_alone_waits_longer_each_time_and_is_given_up_after_some_tries() -> None:
    tries, waits = Tries(3, answers=0), []
    while not tries.is_over:
        tries.refused(answers=10 * (tries.made + 1), refusals=tries.made, now=0.0)
        waits.append(tries.failures)
    assert tries.made == SPARED + 1
    assert waits[:4] == [1, 1, 2, 3]


def test_one_that_is_refused_alone_is_given_up_after_some_time() -> None:
    tries = Tries(3, answers=0)
    for number in range(4):
        tries.refused(answers=number + 1, refusals=number, now=float(number))
    assert not tries.is_over
    tries.refused(answers=6, refusals=4, now=SPARED_SECONDS)
    assert tries.is_over


def test_refusals_count_where_nobody_gets_through_or_the_service_is_broken() -> None:
    alone, broken = Tries(3, answers=5), Tries(3, answers=0)
    for number in range(3):
        assert not alone.is_over
        assert not broken.is_over
        alone.refused(answers=5, refusals=number, now=0.0)
        broken.refused(answers=number + 1, refusals=number, now=0.0, is_throttled=False)
    assert alone.is_over
    assert broken.is_over


def test_two_time_outs_are_enough() -> None:
    tries = Tries(8, answers=0)
    tries.failed(answers=0, timed_out=True)
    tries.failed(answers=0)
    assert not tries.is_over
    tries.failed(answers=0, timed_out=True)
    assert tries.is_over


def test_whether_others_are_answered_is_asked_between_the_last_two_tries() -> None:
    tries = Tries(4, answers=5)
    tries.failed(answers=9)  # it was on its way when the service went away
    assert tries.answers_before == 5
    tries.failed(answers=9)
    assert tries.answers_before == 9
    tries.refused(answers=12, refusals=0, now=0.0, is_throttled=False)
    assert tries.answers_before == 9
    tries.failed(answers=12)
    assert tries.answers_before == 12


def test_a_refusal_of_one_holds_nobody_back_and_is_counted() -> None:
    gate = Gate(8, clock=lambda: 0.0)
    gate.refused(5.0, concerns_all=False)
    assert (gate.allowed, gate.refusals, gate.pause) == (8, 1, 0.0)
    gate.refused(5.0)
    assert (gate.allowed, gate.refusals, gate.pause) == (1, 2, 5.0)


def test_a_count_without_sense_holds_the_others_up_for_a_minute_at_most() -> None:
    gate = Gate(8, tokens_per_minute=6_100, clock=lambda: 0.0)
    gate.answered(tokens=10**8, estimate=10)
    assert gate.pace <= 61.0


@pytest.mark.parametrize(
    ("status", "message", "code", "too_large"),
    [
        (429, "429 tokens (rate_limit_exceeded): Request too large for m on tokens per min (TPM)", None, True),
        (413, "413: Request too large for model", None, True),
        (500, "500: x", "context_length_exceeded", True),
        (500, "500: Request too large", None, False),
        (429, "429 tokens: Rate limit reached for m on tokens per min (TPM)", "rate_limit_exceeded", False),
        (429, f"429: {'x' * 500} request too large", None, False),
    ],
)
def test_no_waiting_helps_what_is_too_large(status: int, message: str, code: str | None, too_large: bool) -> None:
    assert is_too_large(RequestError(message, status=status, code=code)) is too_large


@pytest.mark.parametrize(
    ("code", "kind", "content"),
    [
        ("content_filter", None, True),
        (None, "Content_Policy_violation", True),
        ("moderation_blocked", "x", True),
        ("insufficient_permissions", "invalid_request_error", False),
        (None, None, False),
    ],
)
def test_a_refusal_for_the_content_says_so(code: str | None, kind: str | None, content: bool) -> None:
    assert concerns_content(RequestError("403: filtered content", status=403, code=code, kind=kind)) is content


@pytest.mark.parametrize(
    ("status", "code", "answer"),
    [
        (400, None, True), (404, None, True), (422, "x", True), (401, None, False), (402, None, False),
        (408, None, False), (429, None, False), (429, "insufficient_quota", False), (500, None, False),
        (302, None, False), (204, None, False), (200, "x", False),
    ],
)  # fmt: skip
def test_a_refusal_of_one_request_is_the_word_of_a_service_that_works(
    status: int, code: str | None, answer: bool
) -> None:
    assert is_answer(RequestError("x", status=status, code=code)) is answer
