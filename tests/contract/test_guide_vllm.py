"""Chat models of a guide: logged without their weights being loaded, and run by vLLM."""

import json
from typing import Any

import pandas as pd

import gristmill
from gristmill import InferenceEngine, InputSpec, JobStatus, OutputSpec, Registry, huggingface
from tests.contract.guide import Guide
from tests.contract.guide import guide as guide
from tests.preloaded import Preloaded
from tests.tiny import media
from tests.tiny.models import model_folder

LOCATION = "@my_db.my_schema.my_stage/path/"
RESPONSE = ["id", "object", "created", "model", "choices", "usage"]


def uncompiled() -> None:
    """Have vLLM not compile its models here, which takes longer than the examples do."""
    import torch._dynamo.config

    torch._dynamo.config.disable = True


def text_generation() -> Any:
    uncompiled()
    mv = Registry().get_model("qwenw_5").version("v1")

    # constructing OpenAi chat/completions API compatible messages
    messages = [[
        {"role": "system", "content": [{"type": "text", "text": "You are an expert on cats and kitchens."}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "How many breeds of cats are there?"},
            ]
        }
    ]]  # fmt: skip
    schema = ["messages"]
    data = [(json.dumps(m)) for m in messages]
    input_df = pd.DataFrame(data, columns=schema)

    job = mv.run_batch(
        X=input_df,
        compute_pool="my_compute_pool",
        output_spec=OutputSpec(stage_location="@my_db.my_schema.my_stage/path/"),
        inference_engine_options={
            # set vLLM as the inference backend
            "engine": InferenceEngine.VLLM,
        },
    )
    return job.wait(), job.message


def image_text_to_text() -> Any:
    uncompiled()
    mv = Registry().get_model("qwen2_vl_2b").version("v1")

    # constructing OpenAi chat/completions API compatible messages
    messages = [[
        {"role": "system", "content": [{"type": "text", "text": "You are an expert on cats and kitchens."}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What breed of cat is this?"},
                {
                    "type": "image_url",
                    "image_url": {
                        # run_batch will downlaod and convert the file to the format that vLLM can handle
                        "url": f"@db.schema.stage/path/cat.jpeg",  # noqa: F541 - as the guide has it
                    }
                }
            ]
        }
    ]]  # fmt: skip

    schema = ["messages"]
    data = [(json.dumps(m)) for m in messages]
    input_df = pd.DataFrame(data, columns=schema)

    job = mv.run_batch(
        X=input_df,
        compute_pool="my_compute_pool",
        output_spec=OutputSpec(stage_location="@my_db.my_schema.my_stage/path/"),
        inference_engine_options={
            # set vLLM as the inference backend
            "engine": InferenceEngine.VLLM,
        },
    )
    return job.wait(), job.message


def in_place_as_in_a_job() -> Any:
    uncompiled()
    mv = Registry().get_model("qwenw_5").version("v1")
    engine = {
        "engine": InferenceEngine.VLLM,
        "engine_args_override": ["--dtype=float32", "--enforce-eager"],  # starts sooner
    }
    params = {"temperature": 0, "max_completion_tokens": 8}
    input_df = pd.DataFrame(
        {"number": [1, 2], "MESSAGES": [json.dumps([{"role": "user", "content": one}]) for one in "ab"]}
    )
    job = mv.run_batch(
        input_df,
        compute_pool="my_compute_pool",
        output_spec=OutputSpec(stage_location=LOCATION),
        input_spec=InputSpec(params=params),
        inference_engine_options=engine,
    )
    assert job.wait() is JobStatus.DONE, job.message
    return gristmill.read_output(LOCATION).to_pandas(), mv.run(
        input_df, function_name="chat", params=params, inference_engine_options=engine
    )


def log_text_generation() -> gristmill.ModelVersion:
    reg = Registry()

    # it's a large model so we remotely log it
    model = huggingface.TransformersPipeline(model=model_folder("llama"), task="text-generation")

    return reg.log_model(
        model,
        model_name="qwenw_5",
        version_name="v1",
    )


def _assert_one_answer(folder: Guide) -> str:
    (row,) = gristmill.read_output(LOCATION, settings=folder.settings).to_pylist()
    assert list(row) == ["messages", *RESPONSE]
    (choice,) = row["choices"]
    assert (choice["index"], choice["message"]["role"]) == (0, "assistant")
    assert choice["message"]["content"]
    assert choice["finish_reason"] in ("stop", "length")
    assert row["usage"]["completion_tokens"] >= 1
    return str(row["messages"])


def test_a_text_generation_model_from_the_registry_answers_chats_with_vllm(
    guide: Guide, vllm_process: Preloaded
) -> None:
    mv = log_text_generation()
    assert "chat" in {row["name"] for row in mv.show_functions().collect()}
    assert vllm_process.call(text_generation) == (JobStatus.DONE, "1 rows")
    _assert_one_answer(guide)


def test_a_model_from_the_registry_sees_the_images_that_messages_name(guide: Guide, vllm_process: Preloaded) -> None:
    guide.put("path/cat.jpeg", media.jpeg(1))
    reg = Registry()

    # it's a large model so we remotely log it
    model = huggingface.TransformersPipeline(model=model_folder("idefics3"), task="image-text-to-text")

    mv = reg.log_model(
        model,
        model_name="qwen2_vl_2b",
        version_name="v1",
    )

    assert [row["name"] for row in mv.show_functions().collect()] == ["chat"]
    assert vllm_process.call(image_text_to_text) == (JobStatus.DONE, "1 rows")
    assert "@db.schema.stage/path/cat.jpeg" in _assert_one_answer(guide)


def test_chats_in_place_have_the_answers_of_a_job(guide: Guide, vllm_process: Preloaded) -> None:
    log_text_generation()
    written, found = vllm_process.call(in_place_as_in_a_job)
    assert found.columns.tolist() == written.columns.tolist() == ["number", "MESSAGES", *RESPONSE]
    named_anew = ["id", "created"]
    pd.testing.assert_frame_equal(found.drop(columns=named_anew), written.drop(columns=named_anew))
