"""The examples of the page about chats, and jobs as users of a warehouse write them, on tiny models."""

import ast
import json
import os
import runpy
import shutil
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from tests.docs.pages import ROOT, write_files
from tests.preloaded import Preloaded
from tests.tiny import media

import gristmill
from gristmill import InferenceEngine, InputSpec, JobSpec, OutputSpec, SaveMode, list_stage_files, run_batch
from gristmill.settings import Settings

RESPONSE = ["id", "object", "created", "model", "choices", "usage"]


def uncompiled() -> None:
    """Have vLLM not compile its models here, which takes longer than the examples do."""
    import torch._dynamo.config

    torch._dynamo.config.disable = True


def script(name: str, model: str) -> str:
    """What an example prints."""
    uncompiled()
    os.environ["GRISTMILL_DEFAULT_POOL"] = "inline"
    sys.argv = [name, model]
    printed = StringIO()
    with redirect_stdout(printed):
        runpy.run_path(name, run_name="__main__")
    return printed.getvalue()


@pytest.mark.usefixtures("settings")
def test_the_examples_of_the_page_run_in_an_empty_folder(vllm_process: Preloaded, llama: str, idefics3: str) -> None:
    folder = Path.cwd()
    names = [name for name in write_files(ROOT / "docs" / "chat.md", folder) if name.endswith(".py")]
    (folder / "pictures").mkdir()
    for seed in range(3):
        (folder / "pictures" / f"{seed}.png").write_bytes(media.png(seed))
    models = {"pictures.py": idefics3}
    printed = {name: vllm_process.call(script, name, models.get(name, llama)) for name in names}
    assert set(printed) == {"capital.py", "pictures.py", "people.py"}
    assert "DONE 2 rows" in printed["capital.py"]
    assert "DONE 3 rows" in printed["pictures.py"]
    assert "'_error': None" in printed["pictures.py"]
    assert all(set(person) == {"name", "age"} for person in ast.literal_eval(printed["people.py"].splitlines()[-1]))


@pytest.fixture
def stage(settings: Settings, tmp_path: Path) -> Settings:
    """A stage `@DB.SCHEMA.STAGE` with some images and sounds, and the pool `MY_POOL`."""
    folder = tmp_path / "stage"
    (folder / "images").mkdir(parents=True)
    for number, name in enumerate(("cat", "dog", "owl")):
        (folder / "images" / f"{name}.jpg").write_bytes(media.jpeg(number))
    (folder / "images" / "notes.txt").write_text("no image")
    (folder / "audio.wav").write_bytes(media.sound(1))
    (folder / "video.mp4").write_bytes(media.film(1))
    return Settings.load(
        stages={"db.schema.stage": str(folder)}, pools={"MY_POOL": gristmill.PoolSettings(kind="inline")}
    )


def wide(folder: str, home: Path) -> str:
    """A model with a context of 8,192 tokens, as the models of the examples have at least."""
    copy = Path(shutil.copytree(folder, home / "wide"))
    config = json.loads((copy / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = 8192
    (copy / "config.json").write_text(json.dumps(config))
    return f"hf:{copy}"


def rows(location: str, settings: Settings) -> list[dict[str, Any]]:
    return gristmill.read_output(location, settings=settings).to_pylist()


def text_only(model: str, settings: Settings) -> Any:
    import pandas as pd

    uncompiled()
    messages_list = [
        [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": "What is the capital of France?"},
        ],
        [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": "Explain quantum computing in simple terms."},
        ],
    ]
    data = [json.dumps(m) for m in messages_list]
    input_df = pd.DataFrame(data, columns=["MESSAGES"])
    job = run_batch(
        model,
        X=input_df,
        compute_pool="MY_POOL",
        output_spec=OutputSpec(stage_location="@DB.SCHEMA.STAGE/output/", mode=SaveMode.OVERWRITE),
        input_spec=InputSpec(params={"temperature": 0.7, "max_completion_tokens": 256}),
        job_spec=JobSpec(gpu_requests="1"),
        settings=settings,
    )
    job.wait()
    return job.status, job.message, rows("@DB.SCHEMA.STAGE/output/", settings)


def text_generation(model: str, settings: Settings) -> Any:
    import pandas as pd

    uncompiled()
    messages = [
        [
            {"role": "system", "content": [{"type": "text", "text": "You are an expert on cats and kitchens."}]},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "How many breeds of cats are there?"},
                ],
            },
        ]
    ]
    schema = ["messages"]
    data = [(json.dumps(m)) for m in messages]
    input_df = pd.DataFrame(data, columns=schema)
    job = run_batch(
        model,
        X=input_df,
        compute_pool="MY_POOL",
        output_spec=OutputSpec(stage_location="@DB.SCHEMA.STAGE/path/"),
        inference_engine_options={
            # set vLLM as the inference backend
            "engine": InferenceEngine.VLLM,
        },
        settings=settings,
    )
    job.wait()
    return job.status, job.message, rows("@DB.SCHEMA.STAGE/path/", settings)


def one_image(model: str, settings: Settings) -> Any:
    import pandas as pd

    uncompiled()
    image_stage_path = "@DB.SCHEMA.STAGE/images/cat.jpg"
    messages_list = [
        [
            {"role": "system", "content": [{"type": "text", "text": "You are an expert image analyzer."}]},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Describe this image in 20 words or less."},
                    {"type": "image_url", "image_url": {"url": image_stage_path}},
                ],
            },
        ],
    ]
    data = [json.dumps(m) for m in messages_list]
    input_df = pd.DataFrame(data, columns=["MESSAGES"])
    job = run_batch(
        model,
        X=input_df,
        compute_pool="MY_POOL",
        output_spec=OutputSpec(stage_location="@DB.SCHEMA.STAGE/output/", mode=SaveMode.OVERWRITE),
        input_spec=InputSpec(params={"temperature": 0.0}),
        job_spec=JobSpec(gpu_requests="1"),
        inference_engine_options={
            "engine": InferenceEngine.VLLM,
            "engine_args_override": ["--max-model-len=7048", "--gpu-memory-utilization=0.9"],
        },
        settings=settings,
    )
    job.wait()
    return job.status, job.message, rows("@DB.SCHEMA.STAGE/output/", settings)


def many_images(model: str, settings: Settings) -> Any:
    import pandas as pd

    uncompiled()
    image_files_df = list_stage_files(
        "@DB.SCHEMA.STAGE/images", pattern=".*\\.jpg", column_name="IMAGE_PATH", settings=settings
    )
    image_paths = [row["IMAGE_PATH"] for row in image_files_df.collect()]
    messages_list = []
    for image_path in image_paths:
        messages = [
            {"role": "system", "content": [{"type": "text", "text": "You are an expert image analyzer."}]},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Describe this image."},
                    {"type": "image_url", "image_url": {"url": image_path}},
                ],
            },
        ]
        messages_list.append(messages)
    data = [json.dumps(m) for m in messages_list]
    input_df = pd.DataFrame(data, columns=["MESSAGES"])
    job = run_batch(
        model,
        X=input_df,
        compute_pool="MY_POOL",
        output_spec=OutputSpec(stage_location="@DB.SCHEMA.STAGE/output/"),
        inference_engine_options={"engine": InferenceEngine.VLLM},
        settings=settings,
    )
    job.wait()
    return job.status, job.message, rows("@DB.SCHEMA.STAGE/output/", settings)


def all_media(model: str, settings: Settings) -> Any:
    import pandas as pd

    uncompiled()
    messages = [
        [
            {"role": "system", "content": [{"type": "text", "text": "You are an expert on cats and kitchens."}]},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What breed of cat is this?"},
                    {"type": "image_url", "image_url": {"url": "@db.schema.stage/images/cat.jpg"}},
                    {"type": "video_url", "video_url": {"url": "@db.schema.stage/video.mp4"}},
                    {"type": "input_audio", "input_audio": {"data": "@db.schema.stage/audio.wav", "format": "wav"}},
                ],
            },
        ],
        [{"role": "user", "content": [{"type": "text", "text": "How many breeds of cats are there?"}]}],
    ]
    schema = ["messages"]
    data = [(json.dumps(m)) for m in messages]
    input_df = pd.DataFrame(data, columns=schema)
    job = run_batch(
        model,
        X=input_df,
        compute_pool="MY_POOL",
        output_spec=OutputSpec(stage_location="@DB.SCHEMA.STAGE/output/"),
        inference_engine_options={"engine": InferenceEngine.VLLM},
        settings=settings,
    )
    job.wait()
    return job.status, job.message, rows("@DB.SCHEMA.STAGE/output/", settings)


@pytest.mark.parametrize(
    ("example", "model", "count"),
    [
        (text_only, "llama", 2),
        (text_generation, "llama", 1),
        (many_images, "idefics3", 3),
        (all_media, "omni", 2),
    ],
)
def test_a_job_as_users_of_a_warehouse_write_it(
    example: Callable[[str, Settings], Any],
    model: str,
    count: int,
    stage: Settings,
    vllm_process: Preloaded,
    request: pytest.FixtureRequest,
) -> None:
    status, message, found = vllm_process.call(example, f"hf:{request.getfixturevalue(model)}", stage)
    assert (status, message) == (gristmill.JobStatus.DONE, f"{count} rows")
    _assert_responses(found, count)


def test_arguments_that_users_give_for_gpus_do_no_harm_on_cpus(
    stage: Settings, vllm_process: Preloaded, idefics3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_the_cache_of_tests(model: str, settings: Settings) -> Any:
        del os.environ["VLLM_CPU_KVCACHE_SPACE"]
        return one_image(model, settings)

    status, message, found = vllm_process.call(without_the_cache_of_tests, wide(idefics3, tmp_path), stage)
    assert (status, message) == (gristmill.JobStatus.DONE, "1 rows")
    _assert_responses(found, 1)


def _assert_responses(found: list[dict[str, Any]], count: int) -> None:
    assert len(found) == count
    for row in found:
        assert list(row)[1:] == RESPONSE
        assert next(iter(row)).lower() == "messages"
        assert "@DB.SCHEMA.STAGE" in next(iter(row.values())).upper() or "image_url" not in next(iter(row.values()))
        assert row["object"] == "chat.completion"
        (choice,) = row["choices"]
        assert choice["message"]["role"] == "assistant"
        assert choice["message"]["content"]
        assert choice["finish_reason"] in ("stop", "length")
        assert row["usage"]["completion_tokens"] >= 1
