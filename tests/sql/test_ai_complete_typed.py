"""Answers as values of SQL, by a SQL type or a JSON schema."""

import json
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web
from tests.engines.openai.server import Call, chat
from tests.sql.asked import Asked
from tests.sql.asked import asked as asked
from tests.sql.asked import asked_service as asked_service


def answers(asked: Asked, text: str, reason: str = "stop") -> None:
    """Let the service say this to everything."""

    def answer(call: Call) -> web.StreamResponse:
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
        return web.json_response(chat(call, choices=[choice]))

    asked.service.script = answer


def wanted(asked: Asked) -> Any:
    """The schema that was asked for."""
    form = asked.body["response_format"]
    assert form["type"] == "json_schema"
    return form["json_schema"]["schema"]


def call(form: str, more: str = "") -> str:
    return f"ai_complete('lab', 'p', response_format => {form}{more})"


def test_a_sql_type_gives_a_struct_whose_fields_can_be_taken(asked: Asked) -> None:
    answers(asked, '{"name": "Bo", "age": 3}')
    made = call("'STRUCT(name VARCHAR, age INTEGER)'")
    assert asked.rows(f"SELECT r.name, r.age + 1, typeof(r) FROM (SELECT {made} AS r)") == [
        ("Bo", 4, 'STRUCT("name" VARCHAR, age INTEGER)')
    ]
    assert wanted(asked) == {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("kind", "answer", "value", "schema"),
    [
        ("INTEGER", "7", 7, {"type": "integer"}),
        ("DOUBLE", "7", 7.0, {"type": "number"}),
        ("BOOLEAN", "true", True, {"type": "boolean"}),
        ("VARCHAR", '"ü\\n"', "ü\n", {"type": "string"}),
        ("VARCHAR[]", '["a", "b"]', ["a", "b"], {"type": "array", "items": {"type": "string"}}),
        ("ENUM('good', 'bad')", '"bad"', "bad", {"type": "string", "enum": ["good", "bad"]}),
        ("JSON", '{"a": [1]}', '{"a":[1]}', {}),
        ("ARRAY(NUMBER)", "[1]", [1], {"type": "array", "items": {"type": "integer"}}),
    ],
)
def test_a_value_that_is_no_object_is_asked_for_within_one(
    asked: Asked, kind: str, answer: str, value: Any, schema: Any
) -> None:
    answers(asked, f'{{"value": {answer}}}')
    quoted = kind.replace("'", "''")
    made = call(f"'{quoted}'")
    assert asked.one(f"SELECT {made}") == value
    assert wanted(asked)["properties"] == {"value": schema}


@pytest.mark.parametrize(
    ("kind", "answer", "value"),
    [
        ("INTEGER", "5", 5),
        ("VARCHAR[]", '["a"]', ["a"]),
        ("JSON", '{"a": 1}', '{"a":1}'),
        ("INTEGER", '"five"', None),
        ("INTEGER", '{"number": 5}', None),
    ],
)
def test_a_value_that_stands_by_itself_is_taken_too(asked: Asked, kind: str, answer: str, value: Any) -> None:
    answers(asked, answer)
    told = asked.one(f"SELECT {call(repr(kind), ', return_error_details => true')}")
    assert told["value"] == value
    assert (told["error"] is None) == (value is not None)


def test_maps_and_what_is_nested_are_objects_and_arrays(asked: Asked) -> None:
    answers(asked, '{"tags": {"a": 1.5}, "rows": [{"day": "2026-01-02"}]}')
    made = call("'TYPE OBJECT(tags MAP(STRING, DOUBLE), rows ARRAY(OBJECT(day DATE NOT NULL)))'")
    assert asked.rows(f"SELECT r.tags['a'], r.rows[1].day::VARCHAR FROM (SELECT {made} AS r)") == [(1.5, "2026-01-02")]
    properties = wanted(asked)["properties"]
    assert properties["tags"] == {"type": "object", "additionalProperties": {"type": "number"}}
    assert properties["rows"]["items"]["properties"] == {"day": {"type": "string", "format": "date"}}


SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
STRUCT = "{'type': 'object', 'properties': {'name': {'type': 'string'}}, 'required': ['name']}"
SCHEMAS = {
    "a struct": STRUCT,
    "a struct within one": f"{{'type': 'json', 'schema': {STRUCT}}}",
    "JSON text": f"'{json.dumps(SCHEMA)}'",
    "JSON": f"'{json.dumps(SCHEMA)}'::JSON",
    "as the API has it": f"{{'type': 'json_schema', 'json_schema': {{'name': 'n', 'schema': {STRUCT}}}}}",
}


@pytest.mark.parametrize("how", SCHEMAS)
def test_a_json_schema_gives_json(asked: Asked, how: str) -> None:
    answers(asked, '{"name": "Bo"}')
    assert asked.rows(f"SELECT r->>'name', typeof(r) FROM (SELECT {call(SCHEMAS[how])} AS r)") == [("Bo", "JSON")]
    assert wanted(asked) == SCHEMA


@pytest.mark.parametrize("how", SCHEMAS)
def test_an_answer_that_does_not_follow_the_schema_is_the_rows_error(asked: Asked, how: str) -> None:
    answers(asked, '{"name": 5}')
    made = call(SCHEMAS[how], ", return_error_details => true")
    ((value, error),) = asked.rows(f"SELECT r.value, r.error FROM (SELECT {made} AS r)")
    assert value is None
    assert "does not follow the schema: 5 is not of type 'string' (at $.name) (given: '{\"name\": 5}')" in error


def test_a_schema_that_refers_to_another_place_fetches_nothing(asked: Asked) -> None:
    answers(asked, "{}")
    form = "{'type': 'json', 'schema': {'$ref': 'https://schemas.lab/person.json'}}"
    made = call(form, ", return_error_details => true")
    (error,) = asked.rows(f"SELECT r.error FROM (SELECT {made} AS r)")
    assert "the schema refers to what it does not hold: " in error
    assert "schemas.lab" in error


@pytest.mark.parametrize(
    ("answer", "reason", "problem"),
    [
        ("Sure! Bo is 3.", "stop", "the answer is not JSON"),
        ('{"name": "Bo", "ag', "length", "it was cut at max_tokens: raise that in model_parameters"),
        ('{"name": "Bo"}', "stop", "it.age is missing"),
        ('{"name": "Bo", "age": "three"}', "stop", "it.age is not of type integer"),
        ("[1]", "stop", "it is not of type object"),
        ("null", "stop", "it is not of type object"),
    ],
)
def test_an_answer_in_another_form_is_the_row_s_error(asked: Asked, answer: str, reason: str, problem: str) -> None:
    answers(asked, answer, reason)
    form = "'STRUCT(name VARCHAR, age INTEGER)'"
    assert asked.one(f"SELECT {call(form)}") is None
    told = asked.one(f"SELECT {call(form, ', return_error_details => true')}")
    assert told["value"] is None
    assert problem in told["error"]


@pytest.mark.parametrize(
    ("kind", "answer", "read"),
    [
        ("TINYINT", "127", 127),
        ("TINYINT", "128", None),
        ("UINTEGER", "-1", None),
        ("DECIMAL(4, 1)", "999.9", Decimal("999.9")),
        ("DECIMAL(4, 1)", "1000", None),
        ("FLOAT", "1e39", None),
        ("DATE", '"2026-02-28"', date(2026, 2, 28)),
        ("DATE", '"2026-2-28"', date(2026, 2, 28)),
        ("DATE", '"2026-02-30"', None),
        ("TIMESTAMP", '"2026-01-02 03:04:05"', datetime.fromisoformat("2026-01-02 03:04:05")),
        ("TIMESTAMP", '"2026-01-02 25:04:05"', None),
        ("TIME", '"03:04:05"', time(3, 4, 5)),
        ("UUID", '"nobody"', None),
        ("TINYINT[]", "[1, 300]", None),
        ("MAP(INTEGER, VARCHAR)", '{"1": "a"}', {1: "a"}),
        ("MAP(INTEGER, VARCHAR)", '{"a": "a"}', None),
    ],
)
def test_what_the_type_cannot_hold_is_the_row_s_error(asked: Asked, kind: str, answer: str, read: Any) -> None:
    answers(asked, f'{{"field": {answer}}}')
    form = f"'STRUCT(field {kind})'"
    told = asked.one(f"SELECT {call(form, ', return_error_details => true')}")
    if read is not None:
        assert told == {"value": {"field": read}, "error": None}
    else:
        assert told["value"] is None
        assert "field" in told["error"]
        assert "cannot be read as" in told["error"]


def test_details_stand_in_the_place_of_the_value(asked: Asked) -> None:
    answers(asked, '{"name": "Bo"}')
    made = call("'STRUCT(name VARCHAR)'", ", show_details => true, return_error_details => true")
    query = f"SELECT r.value->>'$.choices[0].message.content', r.error FROM (SELECT {made} AS r)"
    assert asked.rows(query) == [('{"name": "Bo"}', None)]


def test_the_type_may_be_a_variable_and_each_call_has_its_own(asked: Asked) -> None:
    answers(asked, '{"a": 1}')
    asked.con.execute("SET VARIABLE form = 'STRUCT(a INT)'")
    whole, number = call("getvariable('form')"), call("'STRUCT(a DOUBLE)'")
    assert asked.rows(f"SELECT {whole}.a, {number}.a, ai_complete('lab', 'p')") == [(1, 1.0, '{"a": 1}')]


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ("'STRUCT(a BLOB)'", "response_format.a: the type BLOB has no form in JSON"),
        ("'STRUCT(a'", "is neither a JSON schema nor a SQL type"),
        ("''", "response_format: is empty"),
        ('\'{"type": "nonsense"}\'', "is not a JSON schema"),
        ("'{'", "response_format: is not JSON"),
    ],
)
def test_a_form_that_is_none_is_refused_before_anything_is_asked(asked: Asked, form: str, problem: str) -> None:
    assert problem in asked.refused(f"SELECT {call(form)}")
    assert problem in asked.refused(f"SELECT {call(form)} WHERE false")
    assert asked.service.calls == []


def test_a_form_that_differs_from_row_to_row_is_refused(asked: Asked) -> None:
    told = asked.refused(f"SELECT {call('f')} FROM (VALUES ('STRUCT(a INT)')) t(f)")
    assert "must be a constant expression" in told
