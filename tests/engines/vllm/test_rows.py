"""One job with good and bad rows of many kinds among each other, beside vLLM itself on the good ones."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.preloaded import Preloaded

import gristmill

CONTEXT = 16_384
ARGUMENTS = ["--dtype=float32", "--enforce-eager", f'--hf-overrides={{"max_position_embeddings": {CONTEXT}}}']
CHAT = ("id", "object", "created", "model", "choices", "usage")
QUESTION = "What is a list?"
LOOKUP = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"word": "list"}'}}
PARAM_TYPES: Mapping[str, pa.DataType] = {
    "temperature": pa.float64(),
    "max_completion_tokens": pa.int64(),
    "n": pa.int64(),
    "stop": pa.list_(pa.string()),
    "seed": pa.int64(),
    "logprobs": pa.bool_(),
    "top_logprobs": pa.int64(),
    "ignore_eos": pa.bool_(),
    "logit_bias": pa.string(),
    "model": pa.string(),
    "top_k": pa.int64(),
    "stop_token_ids": pa.list_(pa.int64()),
    "truncate_prompt_tokens": pa.int64(),
    "reasoning_effort": pa.string(),
    "chat_template_kwargs": pa.string(),
}


def user(text: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


GOOD: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "plain": (user(QUESTION), {}),
    "in parts": (user([{"type": "text", "text": "What is "}, {"type": "text", "text": "a list?"}]), {}),
    "system": ([{"role": "system", "content": "Be brief."}, *user(QUESTION)], {}),
    "developer": ([{"role": "developer", "content": "Be brief."}, *user(QUESTION)], {}),
    "tools": (
        [
            *user(QUESTION),
            {"role": "assistant", "content": None, "tool_calls": [LOOKUP]},
            {"role": "tool", "tool_call_id": "call_1", "content": "a sequence"},
        ],
        {},
    ),
    "a thousand": ([{"role": ("user", "assistant")[at % 2], "content": f"{at}"} for at in range(1_001)], {}),
    "unicode": (user("日本語 ελληνικά עברית 🦊👩‍👩‍👧 e\u0301\x00\u202e"), {}),
    "a long word": (user("x" * 5_000), {}),
    "nothing said": (user(""), {}),
    "length": (user(QUESTION), {"max_completion_tokens": 3, "ignore_eos": True}),
    "logprobs": (user(QUESTION), {"logprobs": True, "top_logprobs": 3}),
    "logprobs alone": (user(QUESTION), {"logprobs": True}),
    "default length": (user(QUESTION), {"max_completion_tokens": None, "ignore_eos": True}),
    "noted": (user(QUESTION), {"chat_template_kwargs": '{"note": "Be brief."}'}),
    "biased": (user(QUESTION), {"logit_bias": '{"50": 100}', "max_completion_tokens": 3}),
}
"""Conversations and params that vLLM has a greedy answer to."""

SAMPLED = {
    "three choices": (user(QUESTION), {"n": 3, "temperature": 1.0}),
    "seed 1": (user(QUESTION), {"seed": 1, "temperature": 1.0}),
    "seed 1 again": (user(QUESTION), {"seed": 1, "temperature": 1.0}),
    "seed 2": (user(QUESTION), {"seed": 2, "temperature": 1.0}),
    "a seed and a prompt that is read in parts": (user("word and " * 2_500), {"seed": 3, "temperature": 1.0}),
    "and again": (user("word and " * 2_500), {"seed": 3, "temperature": 1.0}),
    "a large seed": (user(QUESTION), {"seed": 2**63 - 1, "temperature": 1.0}),
    "more than all tokens": (user(QUESTION), {"top_k": 2**40, "temperature": 1.0}),
    "more than fit": (user("word and " * (CONTEXT // 3 - 10)), {"max_completion_tokens": 2**40, "ignore_eos": True}),
    "by name": (user(QUESTION), {"model": "llama"}),
    "truncated": (user(QUESTION), {"truncate_prompt_tokens": 5}),
    "truncated to the context": (user("word and " * CONTEXT), {"truncate_prompt_tokens": CONTEXT, "ignore_eos": True}),
    "truncated to all": (user("word and " * CONTEXT), {"truncate_prompt_tokens": -1, "ignore_eos": True}),
    "truncated, and more than fit": (
        user("word and " * CONTEXT),
        {"truncate_prompt_tokens": -1, "max_completion_tokens": 2**40, "ignore_eos": True},
    ),
}
BAD: dict[str, tuple[str | None, dict[str, Any], str]] = {
    "over the context": (json.dumps(user("word and " * CONTEXT)), {}, str(CONTEXT)),
    "bad JSON": ('[{"role": "user"', {}, "JSON"),
    "no list": ('{"role": "user", "content": "Hi"}', {}, "list"),
    "null": (None, {}, "null"),
    "no messages": ("[]", {}, "messages"),
    "empty text": ("", {}, "messages"),
    "unknown role": ('[{"role": "wizard", "content": "Hi"}]', {}, "messages[0].role"),
    "unknown part": ('[{"role": "user", "content": [{"type": "smell"}]}]', {}, "messages[0].content[0].type"),
    "no content": ('[{"role": "user"}]', {}, "content"),
    "an image": (
        '[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]',
        {},
        "image",
    ),
    "unknown adapter": (json.dumps(user("Hi")), {"model": "c"}, "'c'"),
    "too cold": (json.dumps(user("Hi")), {"temperature": -1.0}, "temperature"),
    "not a number": (json.dumps(user("Hi")), {"temperature": float("nan")}, "temperature"),
    "no choices": (json.dumps(user("Hi")), {"n": 0}, "n"),
    "no tokens": (json.dumps(user("Hi")), {"max_completion_tokens": 0}, "max_completion_tokens"),
    "top without": (json.dumps(user("Hi")), {"top_logprobs": 2}, "top_logprobs"),
    "too many logprobs": (json.dumps(user("Hi")), {"logprobs": True, "top_logprobs": 99_999}, "logprobs"),
    "bias of no token": (json.dumps(user("Hi")), {"logit_bias": '{"99999999": 1}'}, "99999999"),
    "many stops": (json.dumps(user("Hi")), {"stop": ["a", "b", "c", "d", "e"]}, "at most 4"),
    "empty stop": (json.dumps(user("Hi")), {"stop": [""]}, "stop"),
    "a stop token that is none": (json.dumps(user("Hi")), {"stop_token_ids": [99_999_999]}, "99999999"),
    "more choices than can be": (json.dumps(user("Hi")), {"n": 10**9}, "n must be"),
    "more room than there is": (json.dumps(user("Hi")), {"truncate_prompt_tokens": 10**9}, "truncate_prompt_tokens"),
    "unknown effort": (json.dumps(user("Hi")), {"reasoning_effort": "heroic"}, "reasoning_effort"),
    "a template of its own": (
        json.dumps(user("Hi")),
        {"chat_template_kwargs": '{"chat_template": "{{ 1 }}"}'},
        "chat_template",
    ),
}


def table(rows: Sequence[tuple[str, str | None, Mapping[str, Any]]]) -> pa.Table:
    """The input: a name, the messages in a column with a loud name, and one column for each param."""
    columns: dict[str, Any] = {
        "name": pa.array([name for name, _, _ in rows], pa.string()),
        "MESSAGES": pa.array([messages for _, messages, _ in rows], pa.string()),
    }
    for param, kind in PARAM_TYPES.items():
        default = {"temperature": 0.0, "max_completion_tokens": 12}.get(param)
        columns[param] = pa.array([own.get(param, default) for _, _, own in rows], kind)
    return pa.table(columns)


def raw(model: str, stop: str | None = None) -> dict[str, dict[str, Any]]:
    """What vLLM itself makes of the good rows."""
    from vllm import LLM, SamplingParams

    llm = LLM(
        model,
        dtype="float32",
        enforce_eager=True,
        distributed_executor_backend="uni",
        hf_overrides={"max_position_embeddings": CONTEXT},
    )

    def sampling(own: Mapping[str, Any]) -> SamplingParams:
        most = own.get("max_completion_tokens", 12)
        bias = own.get("logit_bias")
        return SamplingParams(
            temperature=0,
            max_tokens=250 if most is None else most,
            ignore_eos=own.get("ignore_eos", False),
            logprobs=own.get("top_logprobs", 0) if own.get("logprobs") else None,
            logit_bias=None if bias is None else {int(token): by for token, by in json.loads(bias).items()},
        )

    conversations = [messages for messages, _ in GOOD.values()]
    noted = list(GOOD).index("noted")
    conversations[noted] = [{"role": "system", "content": "Be brief."}, *conversations[noted]]
    outputs = llm.chat(conversations, [sampling(own) for _, own in GOOD.values()], use_tqdm=False)
    found = {}
    for name, output in zip(GOOD, outputs, strict=True):
        (one,) = output.outputs
        found[name] = {
            "text": one.text,
            "finish_reason": one.finish_reason,
            "prompt_tokens": len(output.prompt_token_ids),
            "completion_tokens": len(one.token_ids),
            "logprobs": one.logprobs
            and [
                (place[token].decoded_token, place[token].logprob, sorted(each.logprob for each in place.values()))
                for token, place in zip(one.token_ids, one.logprobs, strict=True)
            ],
        }
    return found


def run(model: str, rows: pa.Table, folder: str, **job: Any) -> dict[str, Any]:
    """A job in this process: its status, message, rows, plain texts and manifest."""
    settings = gristmill.Settings(home=f"{folder}/home")
    output = f"{folder}/output"
    done = gristmill.run_batch(
        f"hf:{model}",
        rows,
        compute_pool="inline",
        output_spec=gristmill.OutputSpec(location=output, mode="overwrite"),
        settings=settings,
        **job,
    )
    if done.wait() is not gristmill.JobStatus.DONE:
        return {"status": done.status, "message": done.message}
    return {
        "status": done.status,
        "message": done.message,
        "logs": str(done.get_logs()),
        "table": gristmill.read_output(output, settings=settings),
        "texts": gristmill.read_output(output, settings=settings, text=True),
        "manifest": gristmill.read_manifest(output, settings=settings),
    }


@pytest.fixture(scope="module")
def expected(vllm_process: Preloaded, llama: str) -> dict[str, dict[str, Any]]:
    return vllm_process.call(raw, llama)


@pytest.fixture(scope="module")
def stop(expected: dict[str, dict[str, Any]]) -> str:
    """Something that the model says in the middle of its answer."""
    text = expected["plain"]["text"]
    return str(text[len(text) // 2 :][:3])


@pytest.fixture(scope="module")
def job(vllm_process: Preloaded, llama: str, tmp_path_factory: pytest.TempPathFactory, stop: str) -> dict[str, Any]:
    kinds = [
        *((name, json.dumps(messages), own) for name, (messages, own) in {**GOOD, **SAMPLED}.items()),
        ("stop", json.dumps(user(QUESTION)), {"stop": [stop, "never said"]}),
    ]
    bad = [(name, messages, own) for name, (messages, own, _) in BAD.items()]
    among = [row for pair in zip(kinds, bad, strict=False) for row in pair]
    rows = [*among, *kinds[len(bad) :], *bad[len(kinds) :]]
    folder = tmp_path_factory.mktemp("rows")
    return vllm_process.call(
        run,
        llama,
        table(rows),
        str(folder),
        job_spec=gristmill.JobSpec(on_error="record", max_errors=1_000),
        inference_engine_options={
            "engine": "vllm",
            "engine_args_override": [*ARGUMENTS, "--served-model-name=llama"],
            "param_columns": list(PARAM_TYPES),
            "output_prefix": "chat_",
            "response_column": "text",
        },
    ) | {"names": [name for name, _, _ in rows]}


@pytest.fixture
def rows(job: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The output's rows by name."""
    assert job["status"] is gristmill.JobStatus.DONE, job["message"]
    return {row["name"]: row for row in job["table"].to_pylist()}


def test_each_row_stands_once_in_the_output_in_the_order_of_the_input(job: dict[str, Any]) -> None:
    assert job["table"]["name"].to_pylist() == job["names"]
    assert job["table"].column_names == [
        *("name", "MESSAGES", *PARAM_TYPES),
        *(f"chat_{name}" for name in CHAT),
        *("text", "_error"),
    ]


@pytest.mark.parametrize("name", GOOD)
def test_good_rows_have_the_answers_that_vllm_gives(
    name: str, rows: dict[str, dict[str, Any]], expected: dict[str, dict[str, Any]]
) -> None:
    row, wanted = rows[name], expected[name]
    assert row["_error"] is None
    (choice,) = row["chat_choices"]
    assert choice["index"] == 0
    assert choice["message"] == {"role": "assistant", "content": wanted["text"]}
    assert choice["finish_reason"] == wanted["finish_reason"]
    usage = row["chat_usage"]
    assert usage["prompt_tokens"] == wanted["prompt_tokens"]
    assert usage["completion_tokens"] == wanted["completion_tokens"]
    assert usage["total_tokens"] == wanted["prompt_tokens"] + wanted["completion_tokens"]
    assert row["chat_object"] == "chat.completion"
    assert row["chat_model"] == "llama"
    assert row["text"] == wanted["text"]


def test_no_row_has_killed_the_engine(job: dict[str, Any]) -> None:
    assert "died" not in job["logs"]


@pytest.mark.parametrize("name", BAD)
def test_bad_rows_are_recorded_with_what_is_wrong(name: str, rows: dict[str, dict[str, Any]]) -> None:
    row, word = rows[name], BAD[name][2]
    assert row["_error"] is not None
    assert word in row["_error"]["message"]
    assert row["chat_choices"] is None
    assert row["text"] is None


def test_logprobs_are_those_of_vllm(rows: dict[str, dict[str, Any]], expected: dict[str, dict[str, Any]]) -> None:
    for name, most in (("logprobs", 3), ("logprobs alone", 0)):
        content = rows[name]["chat_choices"][0]["logprobs"]["content"]
        assert len(content) == rows[name]["chat_usage"]["completion_tokens"]
        for mine, (token, logprob, _) in zip(content, expected[name]["logprobs"], strict=True):
            assert mine["token"] == token
            assert mine["logprob"] == pytest.approx(logprob, abs=1e-4)
            assert len(mine["top_logprobs"]) == most
        for mine, (_, _, among) in zip(content, expected[name]["logprobs"], strict=True):
            if most:
                assert sorted(one["logprob"] for one in mine["top_logprobs"]) == pytest.approx(among, abs=1e-4)
                assert mine["top_logprobs"][0]["logprob"] == mine["logprob"]  # at temperature 0 it is the likeliest
    assert rows["plain"]["chat_choices"][0]["logprobs"] is None


def test_finish_reasons_are_right(rows: dict[str, dict[str, Any]]) -> None:
    (short,) = rows["length"]["chat_choices"]
    assert (short["finish_reason"], rows["length"]["chat_usage"]["completion_tokens"]) == ("length", 3)
    assert rows["default length"]["chat_usage"]["completion_tokens"] == 250


def test_an_answer_may_fill_the_context_and_no_more(rows: dict[str, dict[str, Any]]) -> None:
    row = rows["more than fit"]
    assert row["chat_usage"]["total_tokens"] == CONTEXT
    assert row["chat_choices"][0]["finish_reason"] == "length"


def test_an_answer_ends_before_a_stop_string(
    rows: dict[str, dict[str, Any]], expected: dict[str, dict[str, Any]], stop: str
) -> None:
    text = expected["plain"]["text"]
    (choice,) = rows["stop"]["chat_choices"]
    assert choice["message"]["content"] == text[: text.index(stop)]
    assert choice["finish_reason"] == "stop"


def test_every_choice_is_kept(rows: dict[str, dict[str, Any]]) -> None:
    row = rows["three choices"]
    assert [choice["index"] for choice in row["chat_choices"]] == [0, 1, 2]
    said = [choice["message"]["content"] for choice in row["chat_choices"]]
    assert len(set(said)) == 3
    assert row["text"] == said[0]
    assert 3 <= row["chat_usage"]["completion_tokens"] <= 36
    assert row["chat_usage"]["prompt_tokens"] == rows["plain"]["chat_usage"]["prompt_tokens"]


def test_a_seed_makes_an_answer_reproducible(rows: dict[str, dict[str, Any]]) -> None:
    assert rows["seed 1"]["text"] == rows["seed 1 again"]["text"]
    assert rows["seed 1"]["text"] != rows["seed 2"]["text"]
    assert rows["and again"]["text"] == rows["a seed and a prompt that is read in parts"]["text"]


def test_a_prompt_is_cut_to_the_tokens_asked_for(rows: dict[str, dict[str, Any]]) -> None:
    assert rows["truncated"]["_error"] is None
    assert rows["truncated"]["chat_usage"]["prompt_tokens"] == 5
    assert rows["truncated"]["text"] != rows["plain"]["text"]


def test_a_prompt_that_is_cut_to_the_context_leaves_room_for_its_answer(rows: dict[str, dict[str, Any]]) -> None:
    for name, room in (
        ("truncated to the context", 12),
        ("truncated to all", 12),
        ("truncated, and more than fit", 1),
    ):
        assert rows[name]["_error"] is None
        usage = rows[name]["chat_usage"]
        assert (usage["prompt_tokens"], usage["completion_tokens"]) == (CONTEXT - room, room)


def test_the_models_own_name_is_no_adapter(rows: dict[str, dict[str, Any]]) -> None:
    assert rows["by name"]["_error"] is None
    assert rows["by name"]["text"] == rows["plain"]["text"]


def test_the_plain_texts_can_be_read_alone(job: dict[str, Any]) -> None:
    texts = job["texts"]
    assert texts.column_names == ["name", "MESSAGES", *PARAM_TYPES, "response", "text", "_error"]
    assert texts["response"].to_pylist() == texts["text"].to_pylist() == job["table"]["text"].to_pylist()


def test_the_manifest_counts_rows_errors_and_tokens(job: dict[str, Any]) -> None:
    usages = [usage for usage in job["table"]["chat_usage"].to_pylist() if usage is not None]
    manifest = job["manifest"]
    assert (manifest.rows, manifest.errors) == (len(job["names"]), len(BAD))
    assert manifest.tokens == {
        "prompt_tokens": sum(usage["prompt_tokens"] for usage in usages),
        "cached_tokens": sum(usage["prompt_tokens_details"]["cached_tokens"] for usage in usages),
        "output_tokens": sum(usage["completion_tokens"] for usage in usages),
    }


def test_structured_messages_are_answered_as_their_json_text_is(
    vllm_process: Preloaded, llama: str, tmp_path: Path, expected: dict[str, dict[str, Any]]
) -> None:
    names = ["plain", "system", "tools", "unicode"]
    part = pa.struct([("id", pa.string()), ("type", pa.string()), ("function", pa.struct(
        [("name", pa.string()), ("arguments", pa.string())]))])  # fmt: skip
    message = pa.struct(
        [("role", pa.string()), ("content", pa.string()), ("tool_calls", pa.list_(part)), ("tool_call_id", pa.string())]
    )
    rows = pa.table({"name": names, "Messages": pa.array([GOOD[name][0] for name in names], pa.list_(message))})
    done = vllm_process.call(
        run,
        llama,
        rows,
        str(tmp_path),
        input_spec=gristmill.InputSpec(params={"temperature": 0, "max_completion_tokens": 12}),
        inference_engine_options={"engine": "vllm", "engine_args_override": ARGUMENTS},
    )
    assert done["status"] is gristmill.JobStatus.DONE, done["message"]
    assert done["table"].column_names == [*rows.column_names, *CHAT]
    assert done["table"].select(rows.column_names).equals(rows)
    assert done["texts"]["response"].to_pylist() == [expected[name]["text"] for name in names]


def test_a_prompt_is_a_users_message_where_there_is_a_template_and_a_text_to_go_on_with_elsewhere(
    vllm_process: Preloaded, llama: str, base: str, tmp_path: Path, expected: dict[str, dict[str, Any]]
) -> None:
    def answer(model: str) -> str:
        done = vllm_process.call(
            run,
            model,
            pa.table({"PROMPT": [QUESTION, None]}),
            str(tmp_path),
            input_spec=gristmill.InputSpec(
                params={"temperature": 0, "max_completion_tokens": None, "ignore_eos": True}
            ),
            inference_engine_options={"engine": "vllm", "engine_args_override": [*ARGUMENTS, "--max-model-len=64"]},
            job_spec=gristmill.JobSpec(on_error="record"),
        )
        assert done["status"] is gristmill.JobStatus.DONE, done["message"]
        said, null = done["table"].to_pylist()
        assert "prompt: is null" in null["_error"]["message"]
        assert said["usage"]["total_tokens"] == 64  # as many as fit
        assert said["choices"][0]["finish_reason"] == "length"
        return str(done["texts"]["response"][0])

    assert answer(llama).startswith(expected["plain"]["text"])
    assert answer(base).startswith(vllm_process.call(continued, base))


def continued(model: str) -> str:
    """How vLLM itself goes on with a text."""
    from vllm import LLM, SamplingParams

    llm = LLM(model, dtype="float32", enforce_eager=True, distributed_executor_backend="uni")
    (output,) = llm.generate([QUESTION], SamplingParams(temperature=0, max_tokens=12), use_tqdm=False)
    return str(output.outputs[0].text)


def test_a_job_that_records_no_errors_fails_and_names_the_rows(
    vllm_process: Preloaded, llama: str, tmp_path: Path
) -> None:
    cells = [json.dumps(user("Hi")), "[{", json.dumps(user("word and " * 4_000)), json.dumps(user("Hi"))]
    done = vllm_process.call(
        run,
        llama,
        pa.table({"messages": cells}),
        str(tmp_path),
        inference_engine_options={"engine": "vllm", "engine_args_override": ["--dtype=float32", "--enforce-eager"]},
    )
    assert done["status"] is gristmill.JobStatus.FAILED
    assert "2" in done["message"]
    assert "JSON" in done["message"]
    assert not (tmp_path / "output" / "_SUCCESS").exists()
