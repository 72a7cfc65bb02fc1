"""A job on a vLLM server that runs already, through the engine `openai`, beside vLLM itself."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.chat_service import ChatService

import gristmill
from gristmill.settings import Settings

CONVERSATIONS: list[list[dict[str, Any]]] = [[{"role": "user", "content": f"What is {i}?"}] for i in range(40)]
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


Run = Callable[..., gristmill.Job]


@pytest.fixture
def run(chat_service: ChatService, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a job on the server; its output is `tmp_path / "output"`."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    service = chat_service.service
    endpoint = {"base_url": service.base_url, "api_key": service.api_key}
    endpoints = Settings.load(endpoints={"openai": endpoint}).endpoints

    def run(table: pa.Table, *, params: dict[str, Any], **engine: Any) -> gristmill.Job:
        return gristmill.run_batch(
            "openai:tiny",
            table,
            compute_pool="inline",
            output_spec=gristmill.OutputSpec(location=tmp_path / "output", mode="overwrite"),
            input_spec=gristmill.InputSpec(params=params),
            job_spec=gristmill.JobSpec(on_error="record", max_errors=1_000, block=True),
            inference_engine_options=engine,
            settings=settings.model_copy(update={"endpoints": endpoints}),
        )

    return run


def test_the_answers_are_those_of_vllm_in_the_job_itself(
    run: Run, llama: str, answers: Callable[..., list[str]], run_job: Callable[..., Any], tmp_path: Path
) -> None:
    params = {"temperature": 0, "max_completion_tokens": 12, "logprobs": True, "top_logprobs": 2}
    cells = [json.dumps(conversation) for conversation in CONVERSATIONS]
    cells[7] = json.dumps([{"role": "user", "content": "word and " * 1_000}])
    cells[11] = "[{"
    cells[13] = json.dumps([{"role": "user", "content": "日本語 🦊 e\u0301"}])
    table = pa.table({"messages": cells})
    job = run(table, params=params)
    assert job.status is gristmill.JobStatus.DONE, job.message
    theirs = gristmill.read_output(tmp_path / "output").to_pylist()
    own = run_job(
        llama, table, params=params, arguments=["--served-model-name=tiny"], on_error="record", max_errors=1_000
    )
    assert own.status is gristmill.JobStatus.DONE, own.message
    for at, (one, other) in enumerate(zip(theirs, own.rows, strict=True)):
        assert (one["_error"] is None) == (other["_error"] is None) == (at not in (7, 11))
        if one["_error"] is not None:
            continue
        assert (one["object"], one["model"]) == (other["object"], other["model"]) == ("chat.completion", "tiny")
        for count in ("prompt_tokens", "completion_tokens", "total_tokens"):
            assert one["usage"][count] == other["usage"][count]
        (mine,), (its,) = one["choices"], other["choices"]
        assert mine["message"] == its["message"]
        assert mine["finish_reason"] == its["finish_reason"]
        for token, same in zip(mine["logprobs"]["content"], its["logprobs"]["content"], strict=True):
            assert token["token"] == same["token"]
            assert token["logprob"] == pytest.approx(same["logprob"], abs=1e-3)
            assert [top["token"] for top in token["top_logprobs"]] == [top["token"] for top in same["top_logprobs"]]
    assert "2048" in theirs[7]["_error"]["message"]
    said = answers(llama, CONVERSATIONS[:5], temperature=0, max_tokens=12)
    assert [row["choices"][0]["message"]["content"] for row in theirs[:5]] == said


def test_answers_in_a_form_are_valid_and_a_form_that_cannot_be_is_the_rows_own_failure(
    run: Run, tmp_path: Path
) -> None:
    import jsonschema

    form = {"type": "json_schema", "json_schema": {"schema": PERSON}}
    impossible = {"type": "json_schema", "json_schema": {"schema": {"type": "string", "minLength": 5, "maxLength": 2}}}
    rules = [
        *([("response_format", form), ("structured_outputs", {"regex": "(red|blue)-[0-9]{3}"})] * 8),
        *([("structured_outputs", {"choice": ["one", "two words"]}), ("response_format", {"type": "json_object"})] * 4),
        ("response_format", impossible),
        ("structured_outputs", {"regex": "("}),
    ]
    columns = {
        kind: pa.array([json.dumps(rule) if of == kind else None for of, rule in rules], pa.string())
        for kind in ("response_format", "structured_outputs")
    }
    job = run(
        pa.table({"prompt": [f"Say {at}." for at in range(len(rules))], **columns}),
        params={"temperature": 1.0, "max_completion_tokens": 120},
        param_columns=list(columns),
        response_column="text",
    )
    assert job.status is gristmill.JobStatus.DONE, job.message
    *good, unfit, broken = gristmill.read_output(tmp_path / "output").to_pylist()
    assert "minLength" in unfit["_error"]["message"]
    assert "regex" in broken["_error"]["message"]
    finished = 0
    for row in good:
        assert row["_error"] is None
        if row["choices"][0]["finish_reason"] != "stop":
            continue
        finished += 1
        if row["response_format"] == json.dumps(form):
            jsonschema.validate(json.loads(row["text"]), PERSON)
        elif row["response_format"] is not None:
            assert isinstance(json.loads(row["text"]), dict)
        elif "regex" in row["structured_outputs"]:
            assert re.fullmatch("(red|blue)-[0-9]{3}", row["text"])
        else:
            assert row["text"] in ("one", "two words")
    assert finished >= 16


def test_choices_and_stops_are_passed_on(run: Run, tmp_path: Path) -> None:
    table = pa.table({"prompt": ["What is a list?"]})
    given = {"temperature": 1.0, "seed": 5, "max_completion_tokens": 12, "n": 3, "top_k": 50, "ignore_eos": True}
    job = run(table, params=given)
    assert job.status is gristmill.JobStatus.DONE, job.message
    (row,) = gristmill.read_output(tmp_path / "output").to_pylist()
    assert [choice["index"] for choice in row["choices"]] == [0, 1, 2]
    assert row["usage"]["completion_tokens"] == 36
    text = row["choices"][0]["message"]["content"]
    job = run(table, params={**given, "stop": [text[3:6]]})
    (row,) = gristmill.read_output(tmp_path / "output").to_pylist()
    assert row["choices"][0]["message"]["content"] == text[: text.index(text[3:6])]
    assert row["choices"][0]["finish_reason"] == "stop"
