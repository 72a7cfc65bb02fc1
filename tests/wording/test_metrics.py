"""What models count, as people read it."""

from gristmill.jobs.record import Progress
from gristmill.wording.metrics import amounts, busy, token_speed


def test_sums_have_their_means_and_cached_tokens_their_share() -> None:
    metrics = {"prompt_tokens": 2_000_000, "cached_tokens": 1_500_000, "output_tokens": 81_000, "score": 0.25}
    assert amounts(metrics, {"prompt_tokens": 4_321.0, "cached_tokens": 3_000.0, "output_tokens": 8.25}) == [
        ("prompt tokens", "2,000,000 (4,321/s)"),
        ("cached tokens", "1,500,000 (75 % of prompt tokens)"),
        ("output tokens", "81,000 (8.2/s)"),
        ("score", "0.25"),
    ]


def test_cached_tokens_without_prompts_divide_by_nothing() -> None:
    assert amounts({"cached_tokens": 0, "prompt_tokens": 0}, {}) == [("cached tokens", "0"), ("prompt tokens", "0")]


def test_speed_is_of_what_is_counted() -> None:
    both = Progress(time=0, rates={"prompt_tokens": 12_000.0, "output_tokens": 500.0})
    assert token_speed(both) == "500 output + 12,000 prompt tokens/s"
    assert token_speed(both, is_short=True) == "500 tokens/s"
    assert token_speed(Progress(time=0, rates={"prompt_tokens": 3.14})) == "3.1 tokens/s"
    assert token_speed(Progress(time=0)) == ""


def test_what_a_model_holds() -> None:
    assert busy(Progress(time=0)) == ""
    assert busy(Progress(time=0, gauges={"rows_in_flight": 0, "rows_waiting": 0})) == "0 in flight"
    assert busy(Progress(time=0, gauges={"rows_in_flight": 7, "rows_waiting": 1_200})) == "7 in flight, 1,200 waiting"
