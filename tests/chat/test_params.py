from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from gristmill.chat.params import (
    CHAT_PARAMS,
    RowParams,
    check_chat_params,
    check_param_columns,
    split_params,
    unset_params,
)
from gristmill.errors import SchemaError, SpecError
from gristmill.models.params import check_params
from gristmill.models.signature import Signature

SIGNATURE = Signature(params=CHAT_PARAMS)
SCHEMA = {"type": "object", "properties": {"token": {"type": "string"}}, "required": ["token"]}


def test_defaults_are_those_of_the_contract_and_pass_their_own_checks() -> None:
    values = check_chat_params(check_params(None, SIGNATURE))
    assert {name: value for name, value in values.items() if value is not None} == {
        "temperature": 1.0, "max_completion_tokens": 250, "stop": [], "n": 1, "stream": False, "top_p": 1.0,
        "frequency_penalty": 0.0, "presence_penalty": 0.0,
    }  # fmt: skip


def test_names_match_in_any_case_and_none_lifts_the_bound_on_tokens() -> None:
    values = check_params({"Temperature": 0, "MAX_COMPLETION_TOKENS": None}, SIGNATURE)
    assert (values["temperature"], values["max_completion_tokens"]) == (0.0, None)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("temperature", -0.1, "at least 0"),
        ("top_p", 0.0, "more than 0 and at most 1"),
        ("top_p", 1.5, "at most 1"),
        ("frequency_penalty", 2.5, "at most 2"),
        ("presence_penalty", -2.5, "at least -2"),
        ("repetition_penalty", 0.0, "more than 0"),
        ("n", 0, "at least 1"),
        ("max_completion_tokens", 0, "at least 1"),
        ("min_p", 2.0, "at most 1"),
        ("min_tokens", 300, "more than max_completion_tokens"),
        ("top_k", -2, "at least 0"),
        ("top_logprobs", 3, "needs logprobs"),
        ("stream", True, "nobody would see a stream"),
        ("stop", ["a", 1], "list of texts"),
        ("stop", [""], "none of them empty"),
        ("stop", ["a", "b", "c", "d", "e"], "at most 4 texts, and 5 are given"),
        ("model", " ", "empty"),
        ("logit_bias", {"the": 1}, "by their ids"),
        ("logit_bias", {"12": 101}, "-100 to 100"),
        ("response_format", {"type": "json"}, r"type: must be one of text, json_object"),
        ("response_format", {"type": "json_schema", "schema": SCHEMA}, r"json_schema: must be a dict"),
        ("response_format", {"type": "json_schema", "json_schema": {"schema": {"type": "strin"}}}, "JSON schema"),
        ("structured_outputs", {"regex": "a", "choice": ["b"]}, "exactly one"),
        ("structured_outputs", {}, "exactly one"),
        ("structured_outputs", {"regexp": "a"}, "regexp: is not known"),
        ("structured_outputs", {"choice": []}, "at least one"),
        ("structured_outputs", {"json": "{"}, "not JSON"),
    ],
)
def test_what_cannot_be_right_is_refused_by_its_name(name: str, value: Any, said: str) -> None:
    given = check_params({name: value}, SIGNATURE)
    with pytest.raises(SpecError, match=rf"input_spec\.params\.{name}.*{said}"):
        check_chat_params(given)


def test_two_ways_to_shape_the_answer_are_refused() -> None:
    with pytest.raises(SpecError, match=r"params\.structured_outputs: stands beside response_format"):
        check_chat_params({"response_format": {"type": "json_object"}, "structured_outputs": {"regex": "a"}})
    check_chat_params({"response_format": {"type": "text"}, "structured_outputs": {"regex": "a"}})


def test_what_ends_a_text_early_is_refused_beside_its_shape() -> None:
    shapes = {
        "response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}},
        "structured_outputs": {"choice": ["yes", "no"]},
    }
    for name, shape in shapes.items():
        for stop in ({"stop": '"'}, {"stop": ["a", "b"]}, {"stop_token_ids": [3]}):
            with pytest.raises(SpecError, match=rf"params\.{next(iter(stop))}: stands beside {name}"):
                check_chat_params({name: shape, **stop})
        check_chat_params({name: shape, "stop": [], "stop_token_ids": None})
    check_chat_params({"response_format": {"type": "text"}, "stop": "END"})


def test_one_stop_text_becomes_a_list_and_a_schema_gets_a_name() -> None:
    form = {"type": "json_schema", "json_schema": {"schema": SCHEMA}}
    assert check_chat_params(check_params({"stop": "END"}, SIGNATURE))["stop"] == ["END"]
    values = check_chat_params(check_params({"response_format": form}, SIGNATURE))
    assert values["response_format"]["json_schema"] == {"name": "response", "schema": SCHEMA}
    assert form == {"type": "json_schema", "json_schema": {"schema": SCHEMA}}


def test_a_secret_beside_a_schema_is_still_refused() -> None:
    with pytest.raises(SpecError, match="a secret must not stand in a request"):
        check_params({"chat_template_kwargs": {"api_key": "x"}}, SIGNATURE)
    check_params({"truncate_prompt_tokens": 5}, SIGNATURE)


def test_unset_params_tell_what_was_given() -> None:
    signature = Signature(params=unset_params(keep=["max_completion_tokens"]))
    values = check_chat_params(check_params({"temperature": 1.0}, signature))
    assert {name: value for name, value in values.items() if value is not None} == {
        "temperature": 1.0,
        "max_completion_tokens": 250,
    }


def test_param_columns_become_inputs_and_are_params_no_longer() -> None:
    params, inputs = split_params(["Temperature", "STOP"])
    assert [feature.name for feature in inputs] == ["temperature", "stop"]
    assert [param.name for param in params] == [p.name for p in CHAT_PARAMS if p.name not in ("temperature", "stop")]
    assert split_params(None) == (CHAT_PARAMS, ())
    assert split_params([]) == (CHAT_PARAMS, ())


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("temperature", "must be a list of names"),
        (5, "must be a list of names"),
        (["temprature"], r"param_columns\[0\]: 'temprature' is not a param.*temperature"),
        (["n", 3], r"param_columns\[1\]: 3 is not a param"),
        (["n", "N"], r"param_columns\[1\]: 'N' is given twice, as 'n' too"),
    ],
)
def test_param_columns_that_are_none_are_refused(columns: Any, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        split_params(columns)


def of_cell(name: str, cell: Any) -> Any:
    return RowParams({}, columns=[name], schema=pa.schema({name.upper(): pa.string()}))({name.upper(): cell})[name]


def test_without_param_columns_all_rows_share_one_mapping() -> None:
    row_params = RowParams({"n": 2}, schema=pa.schema({"n": pa.int64()}))
    assert row_params({"n": 5}) is row_params({"n": None})
    assert row_params({"n": 5})["n"] == 2
    with pytest.raises(TypeError):
        row_params({"n": 5})["n"] = 3  # type: ignore[index]


def test_a_null_cell_is_the_default_and_zero_is_a_value() -> None:
    assert of_cell("temperature", None) == 1.0
    assert of_cell("temperature", 0) == 0.0
    assert of_cell("stop", None) == []


def test_cells_are_taken_in_the_forms_in_which_columns_hold_them() -> None:
    assert of_cell("max_completion_tokens", 7.0) == 7
    assert of_cell("temperature", Decimal("0.25")) == 0.25
    assert of_cell("stop", "END") == ["END"]
    with pytest.raises(ValueError, match="column 'STOP': must be at most 4 texts"):
        of_cell("stop", ["a", "b", "c", "d", "e"])
    assert of_cell("logit_bias", [("5", 1.0)]) == {"5": 1.0}
    assert of_cell("response_format", '{"type": "json_object"}') == {"type": "json_object"}
    assert of_cell("structured_outputs", {"regex": "a", "choice": None}) == {"regex": "a"}


@pytest.mark.parametrize(
    ("name", "cell", "said"),
    [
        ("temperature", "hot", "column 'TEMPERATURE': must be double, not str"),
        ("temperature", -1.0, "column 'TEMPERATURE': must be at least 0"),
        ("temperature", float("nan"), "column 'TEMPERATURE': must be at least 0"),
        ("n", 1.5, "column 'N': must be int64, not float"),
        ("n", True, "column 'N': must be int64, not bool"),
        ("response_format", "{", "column 'RESPONSE_FORMAT': is not JSON"),
        ("response_format", "[1]", "column 'RESPONSE_FORMAT': must be a dict"),
        ("top_logprobs", 2, "top_logprobs: needs logprobs"),
    ],
)
def test_a_cell_that_cannot_be_right_is_its_rows_error(name: str, cell: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        of_cell(name, cell)
    assert type(caught.value) is ValueError


def test_a_missing_param_column_is_refused() -> None:
    with pytest.raises(SchemaError, match="temperature"):
        RowParams({}, columns=["temperature"], schema=pa.schema({"t": pa.float64()}))


@pytest.mark.parametrize("name", ["chat_template", "tokenize", "conversation", "return_dict"])
def test_what_renders_a_template_is_not_its_arguments(name: str) -> None:
    with pytest.raises(SpecError, match=rf"chat_template_kwargs\.{name}"):
        check_chat_params({"chat_template_kwargs": {name: "x"}})


@pytest.mark.parametrize(
    ("name", "kind", "needs"),
    [
        ("temperature", pa.string(), "numbers"),
        ("temperature", pa.timestamp("s"), "numbers"),
        ("n", pa.bool_(), "numbers"),
        ("stop", pa.int64(), "text, or lists of text"),
        ("logprobs", pa.int64(), "true or false"),
        ("model", pa.int64(), "text"),
        ("response_format", pa.float64(), "JSON text, structs or maps"),
        ("stop_token_ids", pa.string(), "lists"),
    ],
)
def test_a_column_that_can_hold_no_value_of_its_param_is_refused(name: str, kind: pa.DataType, needs: str) -> None:
    _, features = split_params([name])
    with pytest.raises(SchemaError, match=rf"'{name.upper()}' holds .*needs {needs}"):
        check_param_columns(features, pa.schema({name.upper(): kind}))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("temperature", pa.decimal128(5, 2)),
        ("temperature", pa.dictionary(pa.int8(), pa.int64())),
        ("max_completion_tokens", pa.float64()),
        ("stop", pa.list_(pa.string())),
        ("response_format", pa.struct([("type", pa.string())])),
        ("model", pa.null()),
    ],
)
def test_a_column_that_can_hold_values_of_its_param_passes(name: str, kind: pa.DataType) -> None:
    check_param_columns(split_params([name])[1], pa.schema({name: kind}))


def test_a_param_that_is_a_column_is_not_given_for_the_job_too() -> None:
    left, features = split_params(["temperature"])
    with pytest.raises(SpecError, match=r"params\.Temperature: is a column of the input"):
        check_params({"Temperature": 0.5}, Signature(inputs=features, params=left))


def test_json_that_is_nested_without_end_is_an_error_of_its_row() -> None:
    row_params = RowParams({}, columns=["response_format"], schema=pa.schema({"response_format": pa.string()}))
    with pytest.raises(ValueError, match="response_format"):
        row_params({"response_format": "[" * 200_000})
