import json
from pathlib import Path

import pyarrow as pa
import pytest

import gristmill
from gristmill import InputSpec, JobSpec, JobStatus, OutputSpec, Settings
from gristmill.engines.echo import EchoEngine
from gristmill.errors import ModelError, SpecError
from gristmill.storage.storage import Storage


def run(tmp_path: Path, rows: pa.Table, params: dict | None = None, **options) -> list[dict]:
    """The output rows of an inline job."""
    job = gristmill.run_batch(
        "echo:chat",
        rows,
        compute_pool="inline",
        output_spec=OutputSpec(location=tmp_path / "out", mode="overwrite"),
        input_spec=InputSpec(params=params),
        job_spec=JobSpec(block=True, on_error="record"),
        inference_engine_options=options or None,
    )
    assert job.status is JobStatus.DONE, job.message
    return gristmill.read_output(tmp_path / "out").to_pylist()


def chats(*conversations: list[dict]) -> pa.Table:
    return pa.table({"MESSAGES": [json.dumps(messages) for messages in conversations]})


def user(content: object) -> dict:
    return {"role": "user", "content": content}


def test_the_answer_is_what_the_user_said_last(settings: Settings, tmp_path: Path) -> None:
    answer = {"role": "assistant", "content": "first answer"}
    system = {"role": "system", "content": "be very brief"}
    (row,) = run(tmp_path, chats([system, user("one"), answer, user("two words")]))
    assert [*row] == ["MESSAGES", "id", "object", "created", "model", "choices", "usage", "_error"]
    assert (row["object"], row["model"], row["_error"]) == ("chat.completion", "echo", None)
    assert row["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "two words"}, "finish_reason": "stop"}
    ]
    assert row["usage"] == {
        "prompt_tokens": 8,
        "completion_tokens": 2,
        "total_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": 3},
    }


def test_params_decide_length_choices_and_logprobs(settings: Settings, tmp_path: Path) -> None:
    params = {"MAX_COMPLETION_TOKENS": 2, "n": 3, "logprobs": True}
    (row,) = run(tmp_path, chats([user("one two three")]), params)
    assert [choice["index"] for choice in row["choices"]] == [0, 1, 2]
    assert {choice["finish_reason"] for choice in row["choices"]} == {"length"}
    assert [token["token"] for token in row["choices"][2]["logprobs"]["content"]] == ["one", "two"]
    assert row["usage"]["completion_tokens"] == 6


def test_params_may_be_columns(settings: Settings, tmp_path: Path) -> None:
    rows = chats([user("a b c")], [user("d e f")]).append_column("N", pa.array([2, None]))
    done = run(tmp_path, rows, param_columns=["n"], response_column="text", output_prefix="chat_")
    assert [len(row["chat_choices"]) for row in done] == [2, 1]
    assert [row["text"] for row in done] == ["a b c", "d e f"]


def test_a_param_that_cannot_be_is_refused_before_the_job(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"input_spec\.params\.temperature"):
        run(tmp_path, chats([user("a")]), {"temperature": -1})
    assert not (tmp_path / "out").exists()


def test_rows_that_are_no_messages_fail_alone(settings: Settings, tmp_path: Path) -> None:
    rows = pa.table({"messages": [json.dumps([user("hi")]), "[", None, json.dumps([user("ho")])]})
    done = run(tmp_path, rows)
    assert [row["_error"] and row["_error"]["type"] for row in done] == [None, "MessagesError", "MessagesError", None]
    assert [row["choices"] is None for row in done] == [False, True, True, False]


def test_a_prompt_is_answered_too(settings: Settings, tmp_path: Path) -> None:
    rows = pa.table({"Prompt": ["hello you", None]})
    done = run(tmp_path, rows)
    assert done[0]["choices"][0]["message"]["content"] == "hello you"
    assert done[1]["_error"]["message"] == "prompt: is null"


def test_tokens_are_counted(settings: Settings, tmp_path: Path) -> None:
    run(tmp_path, chats([{"role": "system", "content": "be brief"}, user("hi")], [user("one two")]))
    tokens = gristmill.read_manifest(tmp_path / "out").tokens
    assert tokens == {
        "prompt_tokens": 5,
        "cached_tokens": 2,
        "output_tokens": 3,
    }


def test_answers_can_be_made_to_fail(settings: Settings, tmp_path: Path) -> None:
    done = run(tmp_path, chats([user("good")], [user("bad one")]), fail_on="bad one")
    assert [row["_error"] and row["_error"]["type"] for row in done] == [None, "ValueError"]


def test_options_of_the_other_kinds_are_refused(storage: Storage) -> None:
    with pytest.raises(ModelError, match="column: means nothing to 'echo:chat'"):
        EchoEngine().describe("echo:chat", {"column": "x"}, storage)
    with pytest.raises(ModelError, match="output_prefix: means nothing to 'echo:row'"):
        EchoEngine().describe("echo:row", {"output_prefix": "x"}, storage)
