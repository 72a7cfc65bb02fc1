"""Params in a record: whatever a function takes reaches it as it was given."""

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest

from gristmill.spec.param_text import param_from_plain, param_to_plain


@pytest.mark.parametrize(
    "value",
    [
        b"\x00\xff",
        b"",
        datetime(2026, 1, 1, 12, 30, 0, 5, tzinfo=UTC),
        datetime(2026, 1, 1),  # noqa: DTZ001 - a moment without a zone is a value
        date(2026, 1, 1),
        time(12, 30),
        timedelta(days=-1, microseconds=3),
        Decimal("1.50"),
        "2026-01-01",
        {"a": [b"x", {"b": b"y"}], "c": None, "d": 1.5},
        {"$gristmill.other": "x"},
        {"$gristmill.bytes": 1},
    ],
    ids=repr,
)
def test_a_value_comes_back_from_json_as_it_was(value: Any) -> None:
    back = param_from_plain(json.loads(json.dumps(param_to_plain(value))))
    assert back == value
    assert type(back) is type(value)
