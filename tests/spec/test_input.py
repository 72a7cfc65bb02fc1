import pytest

from gristmill.errors import SpecError
from gristmill.spec.enums import FileEncoding, InputFormat
from gristmill.spec.input import ColumnHandling, InputSpec


@pytest.mark.parametrize("encoding", list(FileEncoding))
@pytest.mark.parametrize("spell", [lambda member: member, lambda member: member.value, lambda member: member.name])
def test_column_handling_takes_members_and_text(encoding: FileEncoding, spell: object) -> None:
    handling = {"input_format": spell(InputFormat.FULL_STAGE_PATH), "convert_to": spell(encoding)}  # type: ignore[operator]
    spec = InputSpec(column_handling={"IMAGE": handling})
    assert spec.column_handling is not None
    assert spec.column_handling["IMAGE"].convert_to is encoding
    assert spec.column_handling["IMAGE"].input_format is InputFormat.FULL_STAGE_PATH


@pytest.mark.parametrize("missing", ["input_format", "convert_to"])
def test_column_handling_needs_both_keys(missing: str) -> None:
    handling = {"input_format": "full_stage_path", "convert_to": "base64"}
    del handling[missing]
    with pytest.raises(SpecError, match=rf"column_handling\.image.*{missing}"):
        InputSpec(column_handling={"image": handling})


def test_an_unknown_encoding_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SpecError, match=r"convert_to.*raw_bytes.*base64.*given: 'pixels'"):
        ColumnHandling(input_format="full_stage_path", convert_to="pixels")


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(SpecError, match=r"InputSpec\.parameters"):
        InputSpec(parameters={})
    with pytest.raises(SpecError, match="timeout"):
        ColumnHandling(input_format="full_stage_path", convert_to="base64", timeout=3)


def test_several_file_columns_and_params_stand_in_one_spec() -> None:
    handling = {"input_format": "full_stage_path", "convert_to": "raw_bytes"}
    spec = InputSpec(params={"top_k": 3}, column_handling={"a": handling, "b": handling}, partition_column="day")
    assert spec.params == {"top_k": 3}
    assert set(spec.column_handling or ()) == {"a", "b"}
    assert spec.partition_column == "day"


def test_nothing_is_needed() -> None:
    spec = InputSpec()
    assert (spec.params, spec.column_handling, spec.partition_column) == (None, None, None)
