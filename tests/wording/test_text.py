import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.wording.text import age, brief, cell, count, cut, duration, one_line, plain, printable, scrubbed, size


@given(st.text())
def test_nothing_a_terminal_would_obey_is_left(text: str) -> None:
    shown = printable(text)
    assert all(character in "\t\n" or ord(character) >= 32 for character in shown)
    assert "\x7f" not in shown
    assert "\x9b" not in shown


def test_a_password_in_a_url_is_taken_out() -> None:
    assert scrubbed("cannot reach https://user:secret@host/path") == "cannot reach https://***@host/path"


@given(st.text(), st.integers(1, 50))
def test_cut_keeps_to_its_limit(text: str, limit: int) -> None:
    assert len(cut(text, limit)) <= limit
    assert cut(text, len(text)) == text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (3599.9, "1 h 00 min"), (200_000, "2 days")],
)
def test_durations_carry_into_the_next_unit(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(("number", "said"), [(0, "0 B"), (1000, "1.0 kB"), (999_999, "1.0 MB"), (5e14, "500.0 TB")])
def test_sizes_carry_into_the_next_unit(number: float, said: str) -> None:
    assert size(number) == said


def test_counts_agree_with_their_noun() -> None:
    assert [count(n, "row") for n in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]


def test_age_takes_a_time_without_zone_for_utc() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert age(datetime(2026, 1, 1, 23, 59, 30), now) == "30 s ago"  # noqa: DTZ001 - the point
    assert age(now + timedelta(hours=1), now) == "0 s ago"


def test_cells_are_short_whatever_they_hold() -> None:
    assert cell(b"\0" * 2_000_000) == "<2.0 MB>"
    assert cell([0.5] * 768) == "[0.5, 0.5, 0.5, … 768 in all]"
    assert cell({"a": b"xy", "b": None}) == '{"a": "<2 B>", "b": null}'
    assert cell("two\nlines") == "two lines"
    assert cell(1 / 3) == "0.333333"
    assert len(cell("x" * 1000)) == 40


def test_plain_values_are_json_whatever_they_were() -> None:
    odd = {"nan": float("nan"), "raw": b"\xff", "when": datetime(2026, 1, 1, tzinfo=UTC), "price": Decimal("1.10")}
    assert json.loads(json.dumps(plain(odd), allow_nan=False)) == {
        "nan": None,
        "raw": "/w==",
        "when": "2026-01-01T00:00:00+00:00",
        "price": "1.10",
    }


def test_one_line_is_one_line() -> None:
    assert one_line(" a\n\tb\r\nc ") == "a b c"


@given(st.integers(0, 10**15))
def test_brief_counts_are_short(number: int) -> None:
    assert len(brief(min(number, 10**12 - 10**8))) <= 7
