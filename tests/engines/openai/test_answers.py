"""Answers that are large, packed, or make no sense."""

import asyncio
import gzip
import json
import threading
import zlib
from typing import Any

import pytest
from aiohttp import web
from tests.engines.openai.conftest import Work, prompts
from tests.engines.openai.server import Service, chat
from tests.engines.openai.test_client import BODY, client_of

from gristmill import JobStatus
from gristmill.engines.openai.errors import ReplyError
from gristmill.engines.openai.reply import LARGE, read_choices, read_reply, read_usage


def packed(call: Any, how: str) -> web.Response:
    content = json.dumps(chat(call)).encode()
    body = gzip.compress(content) if how == "gzip" else zlib.compress(content) if how == "deflate" else content
    return web.Response(body=body, headers={"Content-Encoding": how, "Content-Type": "application/json"})


@pytest.mark.parametrize("how", ["gzip", "deflate", "identity"])
def test_an_answer_that_is_packed_though_nobody_asked_is_unpacked(work: Work, how: str) -> None:
    work.service.script = lambda call: packed(call, how)
    assert work.run(prompts(2)).status is JobStatus.DONE
    assert [row["response"] for row in work.rows(text=True)] == ["P0", "P1"]
    assert {call.headers["Accept-Encoding"] for call in work.service.calls} == {"identity"}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda: {"body": gzip.compress(bytes(50 * 1024**2)), "headers": {"Content-Encoding": "gzip"}}, "1,048,576 by"),
        (lambda: {"body": bytes(2 * 1024**2)}, r"1,048,576 bytes.*raise settings\.endpoints\.openai\.max_response_by"),
        (lambda: {"body": b"x", "headers": {"Content-Encoding": "br"}}, "packed as 'br'"),
        (lambda: {"body": b"not packed", "headers": {"Content-Encoding": "gzip"}}, "cannot be unpacked"),
    ],
)
def test_an_answer_that_cannot_be_kept_is_the_rows_error(work: Work, answer: Any, said: str) -> None:
    import re

    work.service.script = lambda call: web.Response(**answer()) if call.text == "p1" else None
    job = work.endpoint(max_response_bytes=1024**2).run(prompts(3), on_error="record")
    assert job.status is JobStatus.DONE, job.message
    first, second, third = [row["_error"] for row in work.rows()]
    assert (first, third) == (None, None)
    assert second["type"] == "ReplyError"
    assert re.search(said, second["message"]), second["message"]
    assert work.service.texts.count("p1") == 1


def test_of_a_long_error_only_the_beginning_is_read(work: Work) -> None:
    body = gzip.compress(b"no. " * 10_000_000)
    work.service.script = lambda call: (
        web.Response(status=400, body=body, headers={"Content-Encoding": "gzip"}) if call.text == "p1" else None
    )
    assert work.run(prompts(2), on_error="record").status is JobStatus.DONE
    assert work.rows()[1]["_error"]["message"].startswith("400: no. no. ")


def test_large_answers_are_read_in_another_thread_and_small_ones_are_not(service: Service) -> None:
    threads: list[int] = []

    def read(reply: dict[str, Any]) -> int:
        threads.append(threading.get_ident())
        return len(reply["more"])

    async def run(length: int) -> int:
        service.script = lambda call: web.json_response(chat(call, more="é" * length))
        return await client_of(service).post("/chat/completions", BODY, read=read)

    assert (asyncio.run(run(1)), asyncio.run(run(LARGE))) == (1, LARGE)
    assert threads[0] == threading.get_ident() != threads[1]


def test_large_answers_are_read_like_small_ones_up_to_a_number_of_values() -> None:
    reply: dict[str, Any] = {"text": 'é "\\\n' * LARGE, "numbers": [1, -2.5, 1e9, True, None, {}, []]}
    assert read_reply(json.dumps(reply).encode()) == reply
    assert read_reply(json.dumps(reply, ensure_ascii=False).encode()) == reply
    with pytest.raises(ReplyError, match="more than 4,194,304 values"):
        read_reply(b'{"x": [' + b"[]," * (3 * LARGE) + b"1]}")
    with pytest.raises(ReplyError, match="is not JSON"):
        read_reply(b"[" * (2 * LARGE))


@pytest.mark.parametrize("count", [-1, 10**8 + 1, 10**30, 1.5, float("inf"), True, "7", [7]])
def test_a_count_of_tokens_without_sense_is_none(count: Any) -> None:
    usage = read_usage({"usage": {"prompt_tokens": count, "completion_tokens": 0}})
    assert (usage.prompt, usage.completion) == (None, 0)


def test_numbers_without_sense_cost_no_row_its_answer(work: Work) -> None:
    def odd(call: Any) -> web.Response:
        text = json.dumps(chat(call)).replace("1700000000", ["1e999", str(10**30), "-5"][int(call.text[1])])
        text = text.replace('"index": 0', '"index": 1e999').replace(
            '"prompt_tokens": 10', '"prompt_tokens": 1000000000'
        )
        return web.Response(text=text, content_type="application/json")

    work.service.script = odd
    job = work.endpoint(tokens_per_minute=1_000_000).run(prompts(3))
    assert job.status is JobStatus.DONE, job.message
    rows = work.rows()
    assert [row["created"] for row in rows] == [None] * 3
    assert [row["usage"]["prompt_tokens"] for row in rows] == [None] * 3
    assert [row["choices"][0]["index"] for row in rows] == [0] * 3


def choice(**given: Any) -> dict[str, Any]:
    return {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop", **given}


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ([choice(finish_reason="error")], "choice 0 of the answer failed at the service"),
        ([choice(finish_reason="abort")], "choice 0 of the answer failed at the service"),
        ([choice(error={"message": "provider fell over", "code": 502})], "failed at the service.*provider fell over"),
        ([choice(finish_reason=None)], "has no finish_reason, so it may not be whole.*yes"),
        ([{"index": 0, "message": {"content": "yes"}}], "has no finish_reason"),
        ([choice(message={})], "no content, and no tool_calls or refusal"),
        ([choice(message={"role": "assistant", "content": None, "tool_calls": []})], "has no content"),
        ([choice(message={"content": None, "reasoning_content": "hm"})], "has no content"),
        ([choice(message={"content": None, "refusal": 5})], "not text"),
    ],
)
def test_a_choice_that_failed_or_is_not_whole_is_the_rows_error(work: Work, choices: Any, said: str) -> None:
    import re

    work.service.script = lambda call: web.json_response(chat(call, choices=choices)) if call.text == "p1" else None
    assert work.run(prompts(2), on_error="record").status is JobStatus.DONE
    good, bad = [row["_error"] for row in work.rows()]
    assert good is None
    assert bad["type"] == "ReplyError"
    assert re.search(said, bad["message"]), bad["message"]
    assert work.service.texts.count("p1") == 1


@pytest.mark.parametrize(
    ("indexes", "said"),
    [
        ([0], "has 1 of the n=3 choices"),
        ([0, 1], "has 2 of the n=3 choices"),
        ([0, 0, 0], "same index"),
        ([0, 2, 2], "same index"),
    ],
)
def test_choices_that_are_missing_or_the_same_are_the_rows_error(work: Work, indexes: list[int], said: str) -> None:
    work.service.script = lambda call: web.json_response(chat(call, choices=[choice(index=at) for at in indexes]))
    assert work.run(prompts(1), params={"n": 3}, on_error="record").status is JobStatus.DONE
    assert said in work.rows()[0]["_error"]["message"]


def test_how_many_choices_a_row_asks_for_may_be_its_own(work: Work) -> None:
    import pyarrow as pa

    work.service.script = lambda call: web.json_response(chat(call, choices=[choice(), choice(index=1)]))
    table = pa.table({"prompt": ["a", "b", "c"], "n": [2, 3, None]})
    assert work.run(table, options={"param_columns": ["n"]}, on_error="record").status is JobStatus.DONE
    assert [row["_error"] is None for row in work.rows()] == [True, False, True]


@pytest.mark.parametrize(
    ("message", "reason", "text", "kept"),
    [
        ({"content": None, "tool_calls": [{"id": "1", "function": {"name": "f"}}]}, "tool_calls", None, "tool_calls"),
        ({"content": None, "function_call": {"name": "f"}}, "function_call", None, "function_call"),
        ({"content": None, "reasoning_content": "hm"}, "length", None, "length"),
        ({}, "content_filter", None, "content_filter"),
        ({"content": None, "refusal": "I will not."}, "stop", "I will not.", "refusal"),
        ({"content": "", "refusal": "I will not."}, "content_filter", "I will not.", "content_filter"),
        ({"content": "yes", "refusal": None}, "stop", "yes", "stop"),
        ({"content": ""}, "stop", "", "stop"),
    ],
)
def test_an_answer_without_text_may_be_whole_and_a_refusal_is_one(
    work: Work, message: dict[str, Any], reason: str, text: str | None, kept: str
) -> None:
    answer = choice(message={"role": "assistant", **message}, finish_reason=reason)
    work.service.script = lambda call: web.json_response(chat(call, choices=[answer]))
    assert work.run(prompts(1)).status is JobStatus.DONE
    (found,) = work.rows()[0]["choices"]
    assert (found["message"]["content"], found["finish_reason"]) == (text, kept)


def test_a_log_probability_that_is_no_number_is_a_reply_error() -> None:
    token = {"token": "a", "logprob": 10**400}
    with pytest.raises(ReplyError, match="cannot be read"):
        read_choices({"choices": [choice(logprobs={"content": [token]})]})
