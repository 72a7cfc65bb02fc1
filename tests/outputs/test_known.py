"""What is known of sentinels goes through text and back, and stays short."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.outputs.known import Known, keys_of, version_key


def known(count: int) -> Known:
    places = [f"s3://lake/scores/eu/2026/{number}" for number in range(count)]
    return Known("x", {key: version_key(place, "v1:5") for place, key in keys_of(places).items()})


@given(st.dictionaries(st.integers(0, 2**32 - 1), st.integers(0, 2**24 - 1)), st.text(), st.text())
def test_what_is_known_goes_through_text_and_back(entries: dict[int, int], turn: str, reason: str) -> None:
    whole = Known("x", entries, (turn, ""), {"/lake": reason})
    assert Known.from_text(whole.to_text(), of="x") == whole


@pytest.mark.parametrize(("places", "most"), [(0, 100), (10, 250), (10_000, 80_000), (100_000, 720_000)])
def test_a_hundred_thousand_places_are_less_than_three_quarters_of_a_megabyte(places: int, most: int) -> None:
    text = known(places).to_text()
    assert len(text) < most
    assert Known.from_text(text, of="x").entries == known(places).entries


@pytest.mark.parametrize(
    "text",
    [None, "", "2026-01-01", "[]", "null", "7", '{"format": 2}', '{"format":1,"of":"x"}', known(5).to_text()[:-9]],
)
def test_a_text_that_is_damaged_or_of_another_kind_tells_nothing(text: str | None) -> None:
    assert Known.from_text(text, of="x") == Known("x")


@pytest.mark.parametrize(
    "damage", [lambda seen: seen[:-4], lambda seen: "", lambda seen: "AAAA" + seen, lambda seen: "%" + seen]
)
def test_a_damaged_table_tells_nothing(damage) -> None:
    told = json.loads(known(50).to_text())
    told["seen"] = damage(told["seen"])
    assert Known.from_text(json.dumps(told), of="x") == Known("x")


def test_what_was_looked_for_otherwise_is_not_known() -> None:
    assert Known.from_text(known(5).to_text(), of="y") == Known("y")


def test_no_two_of_a_hundred_thousand_places_are_taken_for_one() -> None:
    places = [f"s3://lake/scores/{region}/{number}" for region in range(10) for number in range(30_000)]
    keys = keys_of(places)
    assert len(set(keys.values())) == len(places)
    assert keys_of(places[:1000]) == {place: keys[place] for place in places[:1000]}


def test_versions_are_told_apart_at_each_place() -> None:
    assert version_key("/a", "2:5") == version_key("/a", "2:5")
    assert len({version_key("/a", "2:5"), version_key("/a", "1:5"), version_key("/b", "2:5")}) == 3
