from pathlib import Path

import pytest

from gristmill.errors import SpecError
from gristmill.spec.enums import SaveMode
from gristmill.spec.output import OutputSpec


def test_the_mode_is_error_unless_asked_otherwise() -> None:
    assert OutputSpec(location="/out").mode is SaveMode.ERROR
    assert OutputSpec(location="/out", mode=SaveMode.OVERWRITE).mode is SaveMode.OVERWRITE
    assert OutputSpec(location="/out", mode="OVERWRITE").mode is SaveMode.OVERWRITE


@pytest.mark.parametrize("name", ["location", "base_location"])
def test_a_stage_location_is_the_same_under_its_other_name(name: str) -> None:
    assert (
        getattr(OutputSpec(**{f"stage_{name}".replace("stage_base_", "base_stage_"): "@a.b.c/x"}), name) == "@a.b.c/x"
    )
    assert getattr(OutputSpec(**{name: "@a.b.c/x"}), name) == "@a.b.c/x"


def test_a_path_object_is_a_location() -> None:
    assert OutputSpec(location=Path("/out")).location == "/out"


def test_both_locations_or_neither_are_refused() -> None:
    with pytest.raises(SpecError, match=r"exactly one of location and base_location; both were given"):
        OutputSpec(stage_location="@a/x", base_stage_location="@a")
    with pytest.raises(SpecError, match=r"exactly one of location and base_location; neither was given"):
        OutputSpec(mode="overwrite")


def test_an_empty_location_is_refused() -> None:
    with pytest.raises(SpecError, match="location is empty"):
        OutputSpec(location="  ")


def test_an_unknown_mode_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SpecError, match=r"OutputSpec\.mode.*overwrite.*error.*given: 'append'"):
        OutputSpec(location="/out", mode="append")
