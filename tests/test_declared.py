"""Requests as pipelines declare them: what tells one from another."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gristmill.declared import digest

ODD: list[Any] = [{1: "a", "b": "c"}, {("eu", 1): 3}, {None: 1}, object(), {1, 2}, datetime(2026, 1, 1, tzinfo=UTC)]


@pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
def test_arguments_of_any_kind_have_a_digest_that_stays(value: Any) -> None:
    assert digest({"op_kwargs": value}) == digest({"op_kwargs": value})
    assert digest({"op_kwargs": value}) != digest({"op_kwargs": "other"})


DIFFERENT = [
    (Path("/a"), Path("/b")),
    ({1: "a"}, {"1": "a"}),
    (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)),
    ([1, 2], [2, 1]),
    ({"a": None}, {}),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_other_arguments_are_another_request(one: Any, other: Any) -> None:
    assert digest({"x": one}) != digest({"x": other})


def test_the_order_of_fields_is_no_difference() -> None:
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})
