from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.errors import SpecError
from gristmill.models.params import check_params
from gristmill.models.signature import Bounds, Param, Signature

SIGNATURE = Signature(
    params=(
        Param("temperature", pa.float64(), 1.0),
        Param("top_k", pa.int64(), 5),
        Param("stop", pa.list_(pa.string()), []),
        Param("box", pa.list_(pa.float64(), 2), [0.0, 1.0]),
        Param("stream", pa.bool_(), default=False),
        Param("language", pa.string(), None),
        Param("style", pa.struct([]), {"font": {"size": 10, "bold": False}, "colour": "red"}),
        Param("range", pa.struct([("low", pa.float64()), ("high", pa.float64())]), {"low": 0.0, "high": 1.0}),
    )
)
DEFAULTS = {param.name: param.default for param in SIGNATURE.params}


@pytest.mark.parametrize("given", [None, {}])
def test_defaults_come_from_the_signature(given: Any) -> None:
    assert check_params(given, SIGNATURE) == DEFAULTS


def test_names_match_in_any_case() -> None:
    assert check_params({"TEMPERATURE": 0.5, "Top_K": 3}, SIGNATURE) == {**DEFAULTS, "temperature": 0.5, "top_k": 3}


def test_an_int_becomes_a_float_where_one_is_wanted_and_zero_is_a_value() -> None:
    value = check_params({"temperature": 0}, SIGNATURE)["temperature"]
    assert (value, type(value)) == (0.0, float)


def test_a_number_out_of_its_bounds_is_refused_with_what_sets_them() -> None:
    signature = Signature(params=(Param("top", pa.int64(), None, bounds=Bounds(0, 20, "--most")),))
    assert [check_params({"top": value}, signature)["top"] for value in (0, 20, None)] == [0, 20, None]
    for value in (-1, 21):
        with pytest.raises(SpecError, match=rf"params\.top: must be from 0 to 20, which is --most \(given: {value}\)"):
            check_params({"top": value}, signature)


def test_dicts_merge_at_every_depth_and_leave_the_default_as_it_was() -> None:
    chosen = check_params({"style": {"font": {"size": 12}, "margin": 1}}, SIGNATURE)["style"]
    assert chosen == {"font": {"size": 12, "bold": False}, "colour": "red", "margin": 1}
    assert check_params(None, SIGNATURE)["style"] == {"font": {"size": 10, "bold": False}, "colour": "red"}
    assert check_params({"range": {"high": 2}}, SIGNATURE)["range"] == {"low": 0.0, "high": 2.0}


def test_a_default_that_is_changed_by_a_caller_stays_as_it_was() -> None:
    check_params(None, SIGNATURE)["stop"].append("x")
    assert check_params(None, SIGNATURE)["stop"] == []


def test_params_for_a_function_that_takes_none_are_refused() -> None:
    with pytest.raises(SpecError, match=r"input_spec\.params: the function takes no params \(given: temperature\)"):
        check_params({"temperature": 1}, Signature())
    assert check_params({}, Signature()) == {}


def test_an_unknown_name_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(SpecError, match=r"input_spec\.params\.tempreature: .*temperature, top_k, stop"):
        check_params({"tempreature": 1}, SIGNATURE)


def test_one_name_in_two_cases_is_refused() -> None:
    with pytest.raises(SpecError, match=r"input_spec\.params\.TOP_K: is given twice, as 'top_k' and 'TOP_K'"):
        check_params({"top_k": 1, "TOP_K": 2}, SIGNATURE)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("temperature", "hot", "must be double, not str"),
        ("temperature", True, "must be double, not bool"),
        ("top_k", 1.5, "must be int64, not float"),
        ("top_k", True, "must be int64, not bool"),
        ("top_k", 2**64, "must be int64"),
        ("top_k", None, "must be int64, not NoneType"),
        ("stop", "end", "must be a list of string, not str"),
        ("stop", ["a", 1], "must be string, not int"),
        ("box", [1.0], "must have 2 items, not 1"),
        ("stream", 1, "must be bool, not int"),
        ("language", 3, "must be string, not int"),
        ("style", [], "must be a dict, not list"),
        ("range", {"low": "x"}, "must be double, not str"),
        ("range", {"middle": 1}, "is not a field of it; it has: low, high"),
    ],
)
def test_a_wrong_type_or_shape_is_refused_by_name_and_value(name: str, value: object, why: str) -> None:
    with pytest.raises(SpecError) as caught:
        check_params({name: value}, SIGNATURE)
    assert str(caught.value).startswith(f"input_spec.params.{name}")
    assert why in str(caught.value)


def test_none_is_a_value_where_the_default_is_none_or_the_annotation_allows_it() -> None:
    assert check_params({"language": None}, SIGNATURE)["language"] is None
    assert check_params({"n": None}, Signature(params=(Param("n", pa.int64(), 1, nullable=True),))) == {"n": None}


def test_numpy_values_become_plain_ones() -> None:
    chosen = check_params({"top_k": np.int64(3), "box": np.array([1, 2])}, SIGNATURE)
    assert (chosen["top_k"], type(chosen["top_k"]), chosen["box"]) == (3, int, [1.0, 2.0])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*DEFAULTS, "TOP_K", "unknown"]), JSON, max_size=4))
def test_any_request_is_either_complete_and_stable_or_refused(given: dict[str, Any]) -> None:
    try:
        chosen = check_params(given, SIGNATURE)
    except SpecError as error:
        assert "input_spec.params" in str(error)  # noqa: PT017 - both ends are right, depending on what was drawn
    else:
        assert list(chosen) == list(DEFAULTS)
        assert check_params(chosen, SIGNATURE) == chosen


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"temperature": float("inf")}, "params.temperature"),
        ({"temperature": float("nan")}, "params.temperature"),
        ({"temperature": np.float64("-inf")}, "params.temperature"),
        ({"box": [0.0, float("inf")]}, r"params.box\[1\]"),
        ({"style": {"font": {"size": float("nan")}}}, "params.style.font.size"),
        ({"range": {"low": float("-inf")}}, "params.range.low"),
    ],
)
def test_a_number_that_no_record_holds_is_refused(given: Any, named: str) -> None:
    with pytest.raises(SpecError, match=f"input_spec.{named}: must be a finite number"):
        check_params(given, SIGNATURE)


def test_a_default_that_no_record_holds_must_be_replaced() -> None:
    signature = Signature(params=(Param("limit", pa.float64(), float("inf")),))
    with pytest.raises(SpecError, match=r"params\.limit \(its default\): must be a finite number"):
        check_params(None, signature)
    assert check_params({"limit": 5}, signature) == {"limit": 5.0}


@pytest.mark.parametrize("digits", [400, 5_000])
@pytest.mark.parametrize("name", ["temperature", "top_k", "range"])
def test_an_int_that_no_number_holds_is_refused(name: str, digits: int) -> None:
    value: Any = 10**digits
    with pytest.raises(SpecError, match=f"params.{name}"):
        check_params({name: {"low": value} if name == "range" else value}, SIGNATURE)


@pytest.mark.parametrize("given", [{"api_key": "hunter2"}, {"style": {"Password": "hunter2"}}, {"hf_token": "hunter2"}])
def test_a_secret_is_refused_and_not_repeated(given: Any) -> None:
    names = (*SIGNATURE.params, Param("api_key", pa.string(), ""), Param("hf_token", pa.string(), ""))
    with pytest.raises(SpecError, match="a secret must not stand in a request") as caught:
        check_params(given, Signature(params=names))
    assert "hunter2" not in str(caught.value)


def test_a_value_that_is_none_of_the_choices_is_refused_with_all_of_them() -> None:
    signature = Signature(params=(Param("model", pa.string(), None, choices=("base", "legal")),))
    assert check_params({"model": "legal"}, signature) == {"model": "legal"}
    assert check_params({"model": None}, signature) == {"model": None}
    with pytest.raises(SpecError, match="must be one of 'base', 'legal'"):
        check_params({"model": "typo"}, signature)
