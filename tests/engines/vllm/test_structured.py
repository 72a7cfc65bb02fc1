"""Answers in a form: JSON of a schema, a pattern, a choice, a grammar, each row its own."""

import json
import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from tests.preloaded import Preloaded

import gristmill

Rule = tuple[str, Any]

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", "b", "c"]}, "maxItems": 3},
        "mail": {"type": ["string", "null"], "maxLength": 5},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}
SCHEMAS: dict[str, Any] = {
    "an object": PERSON,
    "a list": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 4},
    "one of values": {"enum": ["yes", "no", 1, None, {"x": [1]}]},
    "a constant": {"const": {"a": 1}},
    "a union": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 9}, {"type": "null"}]},
    "a pattern": {"type": "string", "pattern": "^[a-f]{3}-[0-9]{2}$"},
    "a number": {"type": "number", "minimum": -1, "maximum": 1, "multipleOf": 0.25},
    "a date": {"type": "string", "format": "date"},
    "a definition": {"$ref": "#/$defs/p", "$defs": {"p": PERSON}},
    "names in unicode": {
        "type": "object",
        "properties": {"größe": {"type": "integer", "maximum": 99, "minimum": 0}, 'a "b"': {"const": "🦊"}},
        "required": ["größe", 'a "b"'],
        "additionalProperties": False,
    },
    "a property named like a secret": {
        "type": "object",
        "properties": {"api_key": {"type": "boolean"}},
        "required": ["api_key"],
        "additionalProperties": False,
    },
    "no property": {"type": "object", "additionalProperties": False},
}
ODD: dict[str, Any] = {
    "too short and too long": {"type": "string", "minLength": 5, "maxLength": 2},
    "a property that cannot be": {"type": "object", "properties": {"a": False}, "required": ["a"]},
    "two types at once": {"allOf": [{"type": "string"}, {"type": "integer"}]},
    "what it is not": {"not": {"type": "string"}},
    "a reference to the web": {"$ref": "http://localhost:1/x.json"},
    "a reference to nothing": {"$ref": "#/$defs/nope"},
    "a reference to itself": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}},
    "a broken pattern": {"type": "string", "pattern": "("},
    "an unknown type": {"type": "text"},
    "no schema": [],
}
"""Schemas that nothing fulfils, or that the engine cannot hold an answer to."""

OTHERS: dict[str, tuple[dict[str, Any], Callable[[str], Any]]] = {
    "a regex": ({"regex": r"(red|blue)-[0-9]{3}"}, lambda text: re.fullmatch(r"(red|blue)-[0-9]{3}", text)),
    "a choice": ({"choice": ["one", "two words", "ü"]}, lambda text: text in ("one", "two words", "ü")),
    "a grammar": ({"grammar": 'start: ("a" | "b")+ "!"'}, lambda text: re.fullmatch("[ab]+!", text)),
}
WRONG: dict[str, dict[str, Any]] = {
    "an open group": {"regex": "("},
    "a look ahead": {"regex": "(?=a)b"},
    "no grammar": {"grammar": "start: ::"},
    "no choices": {"choice": []},
    "two rules": {"regex": "a", "choice": ["a"]},
}
ROUNDS = 5


def form(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"schema": schema}}


def test_every_row_that_finished_is_valid_and_a_rule_that_cannot_hold_is_the_rows_own_failure(
    llama: str, run_job: Callable[..., Any]
) -> None:
    import jsonschema

    good: list[tuple[str, Rule]] = [
        *((name, ("response_format", form(schema))) for name, schema in SCHEMAS.items()),
        *((name, ("structured_outputs", {"json": schema})) for name, schema in SCHEMAS.items()),
        *((name, ("structured_outputs", rule)) for name, (rule, _) in OTHERS.items()),
        ("any object", ("response_format", {"type": "json_object"})),
        ("text", ("response_format", {"type": "text"})),
    ]
    bad: list[tuple[str, Rule]] = [
        *((name, ("response_format", form(schema))) for name, schema in ODD.items()),
        *((name, ("structured_outputs", rule)) for name, rule in WRONG.items()),
        ("a deep one", ("response_format", form(deep(400)))),
    ]
    rows = [row for at in range(ROUNDS) for row in [*good, *(bad if at == 2 else [])]]
    of_two = range(len(good))  # those of the first round have two choices, and the logprobs of their tokens
    columns = {
        **{
            column: pa.array([json.dumps(rule) if kind == column else None for _, (kind, rule) in rows], pa.string())
            for column in ("response_format", "structured_outputs")
        },
        "n": pa.array([2 if at in of_two else None for at in range(len(rows))], pa.int64()),
        "logprobs": pa.array([True if at in of_two else None for at in range(len(rows))], pa.bool_()),
        "top_logprobs": pa.array([2 if at in of_two else None for at in range(len(rows))], pa.int64()),
    }
    messages = [json.dumps([{"role": "user", "content": f"Say {at}."}]) for at in range(len(rows))]
    outcome = run_job(
        llama,
        pa.table({"name": [name for name, _ in rows], "messages": messages, **columns}),
        params={"temperature": 1.0, "max_completion_tokens": 120, "seed": 7},
        engine={"param_columns": list(columns), "response_column": "text"},
        on_error="record",
        max_errors=1_000,
    )
    assert outcome.status is gristmill.JobStatus.DONE, outcome.message
    assert [row["name"] for row in outcome.rows] == [name for name, _ in rows]
    failed = [row for row in outcome.rows if row["_error"] is not None]
    assert [row["name"] for row in failed] == [name for name, _ in bad]
    assert "WorkerDied" not in {row["_error"]["type"] for row in failed}

    for at, row in enumerate(outcome.rows):
        if row["_error"] is None:
            assert [choice["index"] for choice in row["choices"]] == ([0, 1] if at in of_two else [0])
    finished = [
        (row["name"], choice)
        for row in outcome.rows
        if row["_error"] is None
        for choice in row["choices"]
        if choice["finish_reason"] == "stop"
    ]
    assert {name for name, _ in finished} >= {*SCHEMAS, *OTHERS}
    for name, choice in finished:
        text = choice["message"]["content"]
        if name in OTHERS:
            assert OTHERS[name][1](text), text
        elif name in SCHEMAS:
            jsonschema.validate(json.loads(text), SCHEMAS[name])
        elif name == "any object":
            assert isinstance(json.loads(text), dict)

    for row in outcome.rows[: len(good)]:
        told = [choice["logprobs"]["content"] for choice in row["choices"]]
        assert sum(len(tokens) for tokens in told) == row["usage"]["completion_tokens"]
        for choice, tokens in zip(row["choices"], told, strict=True):
            assert {len(token["top_logprobs"]) for token in tokens} == {2}
            if choice["message"]["content"].isascii():  # else a character may be cut over several tokens
                assert "".join(token["token"] for token in tokens).startswith(choice["message"]["content"])


def deep(levels: int) -> dict[str, Any]:
    """An object in an object in an object."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"response_format": form(ODD["too short and too long"])}, "minLength"),
        ({"structured_outputs": {"regex": "("}}, "regex"),
    ],
)
def test_a_rule_of_the_whole_job_that_cannot_hold_fails_the_job_at_once(
    params: dict[str, Any], said: str, llama: str, run_job: Callable[..., Any]
) -> None:
    rows = pa.table({"prompt": ["Hi"] * 3})
    outcome = run_job(llama, rows, params=params, on_error="record", max_errors=1_000)
    assert outcome.status is gristmill.JobStatus.FAILED
    assert "input_spec.params: " in outcome.message
    assert said in outcome.message


def test_the_engines_other_ways_to_hold_an_answer_can_be_chosen(llama: str, vllm_process: Preloaded) -> None:
    def backend() -> str:
        from gristmill.engines.vllm.arguments import engine_arguments
        from gristmill.engines.vllm.library import parse_arguments

        options = {"engine_args_override": ["--structured-outputs-config.backend=xgrammar"]}
        setup = parse_arguments(engine_arguments(llama, options, gpus=0, on_cpu=True), field="here")
        return str(setup.engine.structured_outputs_config.backend)

    assert vllm_process.call(backend) == "xgrammar"
