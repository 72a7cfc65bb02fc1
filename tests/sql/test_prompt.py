"""Templates with their arguments in their places."""

from typing import Any

import duckdb
import pytest
from tests.sql.asked import Asked
from tests.sql.asked import asked as asked
from tests.sql.asked import asked_service as asked_service

from gristmill.errors import SpecError
from gristmill.sql.prompt import filled


@pytest.mark.parametrize(
    ("template", "arguments", "wanted"),
    [
        ("plain", [], "plain"),
        ("{0}{1}{0}", ["a", "b"], "aba"),
        ('{"json": {0}, "{x}": {}}', ["1"], '{"json": 1, "{x}": {}}'),
        ("{0}", ["{1}"], "{1}"),
        ("unused", ["a"], "unused"),
        ("{0}", [None], None),
        ("unused", [None], "unused"),
        ("", [], ""),
    ],
)
def test_numbered_places_are_filled_and_other_braces_stay(template: str, arguments: list[Any], wanted: Any) -> None:
    assert filled(template, arguments) == wanted


def test_a_place_without_an_argument_is_refused() -> None:
    with pytest.raises(SpecError, match=r"names the argument \{2\}, and there are 2"):
        filled("{2}", ["a", "b"])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("5", "5"),
        ("1.50", "1.50"),
        ("1.0::DOUBLE", "1.0"),
        ("0.1::FLOAT", "0.1"),
        ("123456789::FLOAT", "123456790.0"),
        ("true", "true"),
        ("DATE '2026-01-02'", "2026-01-02"),
        ("TIMESTAMP '2026-01-02 03:04:05'", "2026-01-02 03:04:05"),
        ("'b'::ENUM('a', 'b')", "b"),
        ("'{\"a\": 1}'::JSON", '{"a": 1}'),
        ("123456789012345678901234567890::HUGEINT", "123456789012345678901234567890"),
    ],
)
def test_numbers_dates_and_the_like_stand_as_sql_writes_them(asked: Asked, value: str, text: str) -> None:
    asked.rows(f"SELECT ai_complete('lab', prompt('<{{0}}>', {value}))")
    assert asked.content == f"<{text}>"


@pytest.mark.parametrize(
    ("value", "what"),
    [("'a'::BLOB", "binary"), ("INTERVAL 1 DAY", "value::VARCHAR"), ("DATE 'infinity'", "value::VARCHAR")],
)
def test_what_is_no_text_is_refused(asked: Asked, value: str, what: str) -> None:
    with pytest.raises(duckdb.Error, match=what):
        asked.rows(f"SELECT prompt('{{0}}', {value})")
