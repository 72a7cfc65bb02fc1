import pytest

from gristmill.cli.request import column_handling, engine_options, files_column, job_spec, params
from gristmill.errors import SpecError


def test_params_are_json_where_they_read_as_json_else_text() -> None:
    given = ["n=2", "share=0.5", "on=true", 'stop=["a"]', "style=terse", "url=http://x/?a=b", "empty="]
    assert params(given) == {
        "n": 2,
        "share": 0.5,
        "on": True,
        "stop": ["a"],
        "style": "terse",
        "url": "http://x/?a=b",
        "empty": "",
    }


def test_nothing_given_is_none_and_not_empty() -> None:
    assert params([]) is None
    assert column_handling([]) is None
    assert engine_options(None, []) is None


@pytest.mark.parametrize("text", ["temperature", "=1", " =1"])
def test_a_param_without_name_or_value_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match=r"--param .* is not name=value"):
        params([text])


def test_a_param_given_twice_is_refused() -> None:
    with pytest.raises(SpecError, match="'a' is given twice"):
        params(["a=1", "a=2"])


def test_columns_become_their_handling() -> None:
    assert column_handling(["image=RAW_BYTES"]) == {
        "image": {"input_format": "full_stage_path", "convert_to": "raw_bytes"}
    }


def test_an_unknown_encoding_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SpecError, match="'png' is not one of raw_bytes, base64, base64_data_url"):
        column_handling(["image=png"])


def test_engine_and_its_arguments() -> None:
    assert engine_options("vllm", ["--max-model-len=7048"]) == {
        "engine": "vllm",
        "engine_args_override": ["--max-model-len=7048"],
    }


def test_a_listing_fills_the_only_file_column() -> None:
    one = column_handling(["image=base64"])
    two = column_handling(["image=base64", "sound=base64"])
    assert [files_column(None, one), files_column(None, two), files_column(None, None), files_column("f", one)] == [
        "image",
        "FILE_PATH",
        "FILE_PATH",
        "f",
    ]


def test_zero_is_given_and_none_is_not() -> None:
    assert job_spec(max_errors=0, replicas=None) == {"max_errors": 0}
