"""What goes to the service and what comes back, through whole jobs."""

import json
from typing import Any

import pyarrow as pa
import pytest
from tests.engines.openai.conftest import Work, prompts
from tests.engines.openai.server import KEY, chat

import gristmill
from gristmill import JobStatus
from gristmill.errors import SchemaError, SpecError


def conversation(text: str) -> list[dict[str, Any]]:
    return [{"role": "system", "content": "Shout."}, {"role": "user", "content": text}]


def test_prompts_become_chats_and_the_contracts_columns_come_back(work: Work) -> None:
    job = work.run(prompts(3))
    assert job.status is JobStatus.DONE, job.message
    rows = work.rows()
    assert [row["prompt"] for row in rows] == ["p0", "p1", "p2"]
    first = rows[0]
    assert list(first) == ["number", "prompt", "id", "object", "created", "model", "choices", "usage"]
    assert first["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "P0"}, "finish_reason": "stop"}
    ]
    assert (first["object"], first["created"], first["model"]) == ("chat.completion", 1_700_000_000, "tiny")
    assert first["usage"] == {
        "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 4},
    }  # fmt: skip
    assert job.manifest().tokens == {"prompt_tokens": 30, "cached_tokens": 12, "output_tokens": 15}


@pytest.mark.parametrize("structured", [False, True])
def test_messages_arrive_as_they_were_given(work: Work, structured: bool) -> None:
    given = [conversation("grüezi"), conversation('quote " and \\ and \n')]
    cells = given if structured else [json.dumps(messages) for messages in given]
    assert work.run(pa.table({"MESSAGES": cells}), params={"temperature": 0}).status is JobStatus.DONE
    assert [call.body["messages"] for call in sorted(work.service.calls, key=lambda call: call.text)] == given
    assert work.rows()[0]["choices"][0]["message"]["content"] == "GRÜEZI"


def test_only_what_was_given_is_sent_and_the_bound_on_tokens(work: Work) -> None:
    work.run(prompts(1))
    assert work.service.calls[-1].body == {
        "model": "tiny", "max_completion_tokens": 250, "messages": [{"role": "user", "content": "p0"}],
    }  # fmt: skip
    work.run(prompts(1), params={"stop": "END"})
    assert work.service.calls[-1].body["stop"] == ["END"]
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    params = {"temperature": 1.0, "stop": [], "seed": 0, "stream": False, "response_format": form, "n": 2}
    work.run(prompts(1), params={**params, "max_completion_tokens": None, "model": "adapter", "top_k": 5})
    assert work.service.calls[-1].body == {
        "model": "adapter", "temperature": 1.0, "seed": 0, "response_format": form, "n": 2, "top_k": 5,
        "messages": [{"role": "user", "content": "p0"}],
    }  # fmt: skip
    assert [choice["index"] for choice in work.rows()[0]["choices"]] == [0, 1]


def test_a_service_that_knows_only_max_tokens_is_told_so(work: Work) -> None:
    work.endpoint(max_tokens_name="max_tokens").run(prompts(1), params={"max_completion_tokens": 7})
    body = work.service.calls[-1].body
    assert body["max_tokens"] == 7
    assert "max_completion_tokens" not in body


def test_params_may_be_columns(work: Work) -> None:
    table = pa.table({"prompt": ["a", "b", "c"], "TEMPERATURE": [0.0, None, -1.0], "model": [None, "other", None]})
    options = {"param_columns": ["temperature", "Model"], "output_prefix": "r_", "response_column": "text"}
    job = work.run(table, options=options, params={"seed": 3}, on_error="record")
    assert job.status is JobStatus.DONE, job.message
    sent = {call.text: call.body for call in work.service.calls}
    assert sent.keys() == {"a", "b"}
    assert (sent["a"]["temperature"], sent["a"]["model"], sent["a"]["seed"]) == (0.0, "tiny", 3)
    assert ("temperature" in sent["b"], sent["b"]["model"]) == (False, "other")
    rows = work.rows()
    assert [row["text"] for row in rows] == ["A", "B", None]
    assert [row["r_model"] for row in rows] == ["tiny", "other", None]
    assert rows[2]["_error"]["message"].startswith("column 'TEMPERATURE': must be at least 0")


def test_logprobs_come_along(work: Work) -> None:
    assert work.run(prompts(1), params={"logprobs": True, "top_logprobs": 1}).status is JobStatus.DONE
    assert work.rows()[0]["choices"][0]["logprobs"] == {
        "content": [{"token": "A", "logprob": -0.5, "top_logprobs": [{"token": "A", "logprob": -0.5}]}]
    }


def test_texts_can_be_read_by_themselves(work: Work) -> None:
    work.run(prompts(2), params={"n": 2})
    assert work.rows(text=True) == [
        {"number": 0, "prompt": "p0", "response": "P0"}, {"number": 1, "prompt": "p1", "response": "P1"},
    ]  # fmt: skip
    assert work.rows(text=True, columns=["response"]) == [{"response": "P0"}, {"response": "P1"}]


def test_texts_may_be_read_beside_an_input_column_of_their_name_that_nobody_asks_for(work: Work) -> None:
    work.run(pa.table({"prompt": ["a"], "response": ["mine"]}))
    assert work.rows(text=True, columns=["prompt"]) == [{"prompt": "a"}]
    for columns in (["response"], None):
        with pytest.raises(SchemaError, match="the input's own column 'response'"):
            work.rows(text=True, columns=columns)


def test_embeddings_have_a_function_of_their_own(work: Work) -> None:
    table = pa.table({"text": ["abc", None, "abcde"]})
    job = work.run(table, function_name="embed", params={"dimensions": 2}, on_error="record")
    assert job.status is JobStatus.DONE, job.message
    assert [row["embedding"] for row in work.rows()] == [[3.0, 0.5], None, [5.0, 0.5]]
    assert [row["prompt_tokens"] for row in work.rows()] == [3, None, 3]
    assert work.service.calls[0].body.keys() == {"model", "dimensions", "encoding_format", "input"}
    with pytest.raises(SchemaError, match="not a chat's"):
        work.rows(text=True)


def test_a_bad_row_is_its_own_error_and_costs_no_request(work: Work) -> None:
    cells = [json.dumps(conversation("a")), "{", None, '[{"role": "robot", "content": "b"}]', "[]"]
    job = work.run(pa.table({"messages": cells}), on_error="record")
    assert job.status is JobStatus.DONE, job.message
    errors = [row["_error"] for row in work.rows()]
    assert errors[0] is None
    assert all(error["message"].startswith("messages") for error in errors[1:])
    assert work.service.texts == ["a"]


def test_the_key_is_sent_and_stands_nowhere_else(processes: Work) -> None:
    service = processes.service
    service.key = KEY
    service.script = lambda call: None if call.text != "p1" else _echo_of_key(call)
    job = processes.run(prompts(3), on_error="record")
    assert job.status is JobStatus.DONE, job.message
    assert {call.headers["Authorization"] for call in service.calls} == {f"Bearer {KEY}"}
    assert processes.rows()[1]["_error"]["message"] == "400 bad: you sent Bearer ***"
    files = [path for path in processes.root.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
    for text in (repr(processes.settings), str(processes.settings), processes.settings.model_dump_json()):
        assert KEY not in text
    assert KEY not in "\n".join(job.get_logs(as_list=True))


def _echo_of_key(call: Any) -> Any:
    from tests.engines.openai.server import refusal

    return refusal(400, f"you sent {call.headers['Authorization']}", kind="bad")


def test_the_key_of_the_environment_goes_with_the_default_endpoint(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    monkeypatch.setenv("OPENAI_BASE_URL", work.service.base_url + "/")
    plain = work.settings.model_copy(update={"endpoints": {}})
    assert Work(work.service, work.root, plain).run(prompts(1)).status is JobStatus.DONE
    other = gristmill.Settings.load(endpoints={"lab": {"base_url": work.service.base_url}}).endpoints
    named = Work(work.service, work.root, plain.model_copy(update={"endpoints": other}))
    assert named.run(prompts(2), options={"endpoint": "lab"}).status is JobStatus.DONE
    sent = [call.headers.get("Authorization") for call in work.service.calls]
    assert sent == ["Bearer sk-environment", None, None]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"endpoint": "nowhere"}, r"endpoint: there is no endpoint 'nowhere'; the settings have: openai"),
        ({"window": 0}, "window: must be"),
        ({"window": True}, "window: must be"),
        ({"param_columns": ["heat"]}, "'heat' is not a param"),
        ({"output_prefix": 3}, "output_prefix: must be text"),
        ({"response_column": "usage"}, "'usage' is a column of the response"),
        ({"prefix_grouping": "yes"}, "prefix_grouping: must be True or False"),
        ({"windows": 3}, "the engine openai does not know it"),
    ],
)
def test_options_that_cannot_be_right_are_refused(work: Work, options: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        work.start(prompts(1), options=options)
    assert not work.service.calls


def test_params_that_cannot_be_right_are_refused_before_anything_starts(work: Work) -> None:
    for params, said in (({"temperature": -1}, "temperature: must be at least 0"), ({"stream": True}, "stream")):
        with pytest.raises(SpecError, match=said):
            work.start(prompts(1), params=params)
    assert not work.output.exists()


JSON = {"response_format": {"type": "json_object"}}


@pytest.mark.parametrize("shape", [JSON, {"structured_outputs": {"regex": "[0-9]+"}}])
@pytest.mark.parametrize("stop", [{"stop": ['"']}, {"stop_token_ids": [5]}])
def test_what_ends_a_text_early_is_refused_beside_what_the_whole_must_be(
    work: Work, shape: dict[str, Any], stop: dict[str, Any]
) -> None:
    (name,), (asked,) = stop, shape
    with pytest.raises(SpecError, match=rf"input_spec\.params\.{name}: stands beside {asked}"):
        work.start(prompts(1), params={**shape, **stop})
    assert not work.output.exists()


def test_a_row_that_stops_early_beside_what_the_whole_must_be_is_its_own_error(work: Work) -> None:
    table = pa.table({"prompt": ["a", "b", "c"], "stop": [None, ['"'], []]})
    job = work.run(table, params=JSON, options={"param_columns": ["stop"]}, on_error="record")
    assert job.status is JobStatus.DONE, job.message
    first, second, third = [row["_error"] for row in work.rows()]
    assert (first, third) == (None, None)
    assert second["message"].startswith("params.stop: stands beside response_format")
    assert "b" not in work.service.texts


def test_an_input_without_a_chat_is_refused(work: Work) -> None:
    with pytest.raises(SchemaError, match="messages"):
        work.start(pa.table({"question": ["a"]}))


def test_an_input_with_a_column_of_the_response_needs_a_prefix(work: Work) -> None:
    table = pa.table({"id": [1], "prompt": ["a"]})
    with pytest.raises(SchemaError, match="id"):
        work.start(table)
    assert work.run(table, options={"output_prefix": "chat_"}).status is JobStatus.DONE
    assert work.rows(text=True) == [{"id": 1, "prompt": "a", "response": "A"}]


def test_an_answer_without_usage_has_null_tokens(work: Work) -> None:
    from aiohttp import web

    work.service.script = lambda call: web.json_response({**chat(call), "usage": None, "id": None})
    assert work.run(prompts(1)).status is JobStatus.DONE
    row = work.rows()[0]
    assert row["id"] is None
    assert row["usage"]["prompt_tokens"] is None
