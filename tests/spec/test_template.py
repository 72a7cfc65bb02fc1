"""Templates: texts with fields, filled, and found again in paths."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.errors import SpecError
from gristmill.spec.template import Template

MOMENT = datetime(2026, 3, 1, 5, tzinfo=UTC)


def template(text):
    return Template(text, what="location")


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("lake/{day}/x", "lake/2026-03-01/x"),
        ("lake/{start:%Y/%m}", "lake/2026/03"),
        ("{start}", "01.03."),
        ("{day}{day}", "2026-03-012026-03-01"),
        (r"scan-\d{4}-{day}", r"scan-\d{4}-2026-03-01"),
        ("SELECT {'a': x, 'b': 1}", "SELECT {'a': x, 'b': 1}"),
        ("{{day}} {day}", "{day} 2026-03-01"),
        ("plain", "plain"),
    ],
)
def test_fields_are_filled_and_other_braces_stand(text, filled):
    assert template(text).fill({"day": "2026-03-01", "start": MOMENT}, moments="%d.%m.") == filled


def test_what_is_filled_in_is_no_template_itself():
    assert template("{a}/{b}").fill({"a": "{b}", "b": "{{"}) == "{b}/{{"


def test_a_field_that_nothing_fills_names_those_there_are():
    with pytest.raises(SpecError, match=r"'x/\{regoin\}' has the field \{regoin\}.*there are \{day\}, \{region\}"):
        template("x/{regoin}").fill({"region": "eu", "day": "1"})
    with pytest.raises(SpecError, match="there are none, since there are no partitions"):
        template("x/{partition}").check(frozenset())


def test_only_moments_take_a_form():
    with pytest.raises(SpecError, match="which only moments take"):
        template("{day:%Y}").fill({"day": "2026-03-01"})


@pytest.mark.parametrize(
    ("text", "path", "found"),
    [
        ("s3://lake/{region}/{day}", "s3://lake/eu/2026-03-01", {"region": "eu", "day": "2026-03-01"}),
        ("s3://lake/{region}/{day}", "s3://lake/eu/2026-03-01/x", None),
        ("s3://lake/{region}/{day}", "s3://lake/eu", None),
        ("/a/day={day}", "/a/day=1", {"day": "1"}),
        ("/a/day={day}", "/a/xday=1", None),
        ("/a/{x}/{x}", "/a/1/1", {"x": "1"}),
        ("/a/{x}/{x}", "/a/1/2", None),
        ("/a.b/{x}", "/aXb/1", None),
        ("/a/{{x}}", "/a/{x}", {}),
        ("/a", "/a", {}),
    ],
)
def test_fields_are_found_again_in_a_path(text, path, found):
    assert template(text).match(path) == found


def test_a_form_cannot_be_found_again():
    with pytest.raises(SpecError, match="has a form, and is to be read back"):
        template("/a/{start:%Y}").match("/a/2026")


SEGMENTS = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1)


@given(region=SEGMENTS, day=SEGMENTS)
def test_what_was_filled_in_is_found_again(region, day):
    made = template("s3://lake/r={region}/{day}").fill({"region": region, "day": day})
    assert template("s3://lake/r={region}/{day}").match(made) == {"region": region, "day": day}
