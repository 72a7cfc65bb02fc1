"""What is asked of an output, as data: names, values, and what is refused."""

from datetime import timedelta

import pytest

from gristmill.errors import SpecError
from gristmill.outputs.checks import OutputChecks


def test_without_a_word_everything_but_freshness_is_asked() -> None:
    assert OutputChecks().names == ("complete", "error_rate", "no_nulls")


def test_a_rate_of_0_is_asked_and_none_is_not() -> None:
    assert "error_rate" in OutputChecks(max_error_rate=0).names
    assert "error_rate" not in OutputChecks(max_error_rate=None).names


@pytest.mark.parametrize("given", [timedelta(hours=26), 26 * 3600, "PT26H", "P1DT2H"])
def test_durations_are_read_from_seconds_and_iso_text(given: object) -> None:
    checks = OutputChecks(fresh_within=given)  # type: ignore[arg-type]
    assert checks.fresh_within == timedelta(hours=26)
    assert "fresh" in checks.names


def test_columns_are_a_list_without_repetitions() -> None:
    assert OutputChecks(no_nulls=["a", "b", "a"]).no_nulls == ("a", "b")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"no_nulls": "label"}, "no_nulls: is neither true"),
        ({"no_nulls": []}, "no_nulls: names no column"),
        ({"no_nulls": [""]}, "no_nulls: is neither true"),
        ({"max_error_rate": 1.5}, "max_error_rate"),
        ({"fresh_within": 0}, "fresh_within"),
        ({"fresh_within": "tomorrow"}, "fresh_within"),
        ({"freshness": 1}, "freshness: is not a field"),
    ],
)
def test_a_wrong_value_is_named(given: dict[str, object], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        OutputChecks(**given)  # type: ignore[arg-type]
