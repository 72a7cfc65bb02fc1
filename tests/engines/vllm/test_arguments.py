"""Arguments of vLLM: what a job may say, what it decides by itself, and what is refused before anything is written."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.preloaded import Preloaded

import gristmill
from gristmill.engines.vllm.arguments import engine_arguments, gpus_asked, logprobs_asked, split_arguments, spreads
from gristmill.errors import SpecError

OWNED = {
    "--host=0.0.0.0": "--host",
    "--port 8000": "--port",
    "--api-key=x": "--api-key",
    "--api_key=x": "--api-key",
    "--allowed-headers=[]": "--allowed-headers",
    "--ssl-keyfile=k": "--ssl-*",
    "--ssl-certfile k": "--ssl-*",
    "--enable-ssl-refresh": "--enable-ssl-refresh",
    "--root-path=/x": "--root-path",
    "--middleware=a.b": "--middleware",
    "--lora-modules=a=b": "--lora-modules",
    "--prompt-adapter=a": "--prompt-adapter",
    "--enable-lora": "--enable-lora",
    "--no-enable-lora": "--enable-lora",
    "--disable-frontend-multiprocessing": "--disable-frontend-multiprocessing",
    "--disable_frontend_multiprocessing": "--disable-frontend-multiprocessing",
    "--log-config-file=x": "--log-config-file",
    "--LOG-CONFIG-FILE=x": "--log-config-file",
}
"""What belongs to the service, however it is written."""

REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    **{f"owned: {given}": ({"engine_args_override": [given]}, {}, owned) for given, owned in OWNED.items()},
    "no list": ({"engine_args_override": "--dtype=half"}, {}, "must be a list"),
    "a dict": ({"engine_args_override": {"dtype": "half"}}, {}, "must be a list"),
    "no text": ({"engine_args_override": [1]}, {}, "engine_args_override[0]"),
    "no dashes": ({"engine_args_override": ["dtype=half"]}, {}, "begins with '--'"),
    "one dash": ({"engine_args_override": ["-O3"]}, {}, "begins with '--'"),
    "name and value apart": ({"engine_args_override": ["--dtype", "half"]}, {}, "write the two as one text"),
    "a secret": ({"engine_args_override": ["--hf-token=hf_secret"]}, {}, "--hf-token"),
    "misspelled": ({"engine_args_override": ["--max-model-length=10"]}, {}, "did you mean --max-model-len?"),
    "misspelled with underscores": (
        {"engine_args_override": ["--gpu_memory_utilisation=0.9"]},
        {},
        "did you mean --gpu-memory-utilization?",
    ),
    "unknown": ({"engine_args_override": ["--xyzzy"]}, {}, "has no argument --xyzzy"),
    "the beginning of a name": ({"engine_args_override": ["--max-model=10"]}, {}, "has no argument --max-model"),
    "a word for a number": ({"engine_args_override": ["--max-num-seqs=many"]}, {}, "--max-num-seqs"),
    "no value": ({"engine_args_override": ["--max-num-seqs"]}, {}, "--max-num-seqs"),
    "no rows at a time": ({"engine_args_override": ["--max-num-seqs=0"]}, {}, "--max-num-seqs=0: Input should be"),
    "more memory than there is": (
        {"engine_args_override": ["--gpu-memory-utilization=1.5"]},
        {},
        "--gpu-memory-utilization=1.5: Input should be",
    ),
    "a seed that is none": ({"engine_args_override": ["--seed=-1"]}, {}, "--seed=-1: must be at least 0"),
    "a template that is not there": (
        {"engine_args_override": ["--chat-template=/nowhere.jinja"]},
        {},
        "/nowhere.jinja",
    ),
    "a choice that is none": ({"engine_args_override": ["--dtype=float7"]}, {}, "--dtype"),
    "a number that cannot be": ({"engine_args_override": ["--max-model-len=-5"]}, {}, "model"),
    "a context over the model's": ({"engine_args_override": ["--max-model-len=999999"]}, {}, "max_model_len"),
    "no JSON": ({"engine_args_override": ["--hf-overrides={"]}, {}, "hf_overrides"),
    "only for a server": ({"engine_args_override": ["--uvicorn-log-level=debug"]}, {}, "HTTP server"),
    "tools of a server": ({"engine_args_override": ["--enable-auto-tool-choice"]}, {}, "HTTP server"),
    "the model": ({"engine_args_override": ["--model=other"]}, {}, "the model is the job's"),
    "a file of arguments": ({"engine_args_override": ["--config=x.yaml"]}, {}, "--config"),
    "copies of the engine": ({"engine_args_override": ["--data-parallel-size=2"]}, {}, "JobSpec.replicas"),
    "the old task": ({"engine_args_override": ["--task=embed"]}, {}, "--runner=pooling"),
    "code without a word": ({"engine_args_override": ["--trust-remote-code"]}, {}, "trust_remote_code"),
    "code, written otherwise": ({"engine_args_override": ["--trust_remote_code"]}, {}, "trust_remote_code"),
    "trust that is no flag": ({"trust_remote_code": "yes"}, {}, "trust_remote_code: must be True or False"),
    "an option nobody knows": ({"engine_argz": []}, {}, "engine_argz"),
    "a mode nobody knows": ({"engine_mode": "thread"}, {}, "engine_mode"),
    "no rows in flight": ({"window": 0}, {}, "window"),
    "grouping that is no flag": ({"prefix_grouping": "no"}, {}, "prefix_grouping"),
    "a column that is no param": ({"param_columns": ["warmth"]}, {}, "warmth"),
    "a response named like another": ({"response_column": "usage"}, {}, "response_column"),
    "an adapter that is not there": ({"adapters": {"a": "/nowhere"}}, {}, "adapter"),
    "one process for two GPUs": (
        {"engine_mode": "in_process", "engine_args_override": ["--tensor-parallel-size=2"]},
        {},
        "engine_mode",
    ),
    "other GPUs than asked for": (
        {"engine_args_override": ["--tensor-parallel-size=2", "--pipeline-parallel-size=2"]},
        {"job": {"gpu_requests": 2}},
        "over 4 GPUs",
    ),
    "several engines in a replica": ({}, {"job": {"num_workers": 2}}, "num_workers"),
    "a function of others": ({}, {"job": {"function_name": "embed"}}, "embed"),
    "a stream": ({}, {"params": {"stream": True}}, "input_spec.params.stream"),
    "an unknown param": ({}, {"params": {"warmth": 1}}, "warmth"),
    "many stops": ({}, {"params": {"stop": ["a", "b", "c", "d", "e"]}}, "input_spec.params.stop: must be at most 4"),
    "many logprobs": (
        {},
        {"params": {"logprobs": True, "top_logprobs": 21}},
        "input_spec.params.top_logprobs: must be from 0 to 20, which is vLLM's --max-logprobs",
    ),
    "the logprobs of all tokens": (
        {"engine_args_override": ["--max-logprobs=50"]},
        {"params": {"logprobs": True, "top_logprobs": -1}},
        "must be from 0 to 50",
    ),
    "a model that is neither it nor an adapter": ({}, {"params": {"model": "nope"}}, "must be one of"),
    "no JSON schema": (
        {},
        {"params": {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "txt"}}}}},
        "input_spec.params.response_format",
    ),
    "a column that is missing": ({}, {"rows": {"text": ["Hi"]}}, "'messages'"),
    "a column of numbers": ({}, {"rows": {"messages": [1]}}, "messages"),
    "an input with an id": ({}, {"rows": {"messages": ["[]"], "id": [1]}}, "output_prefix"),
    "a model that is not there": ({}, {"model": "hf:/nowhere/at/all"}, "/nowhere/at/all"),
}
"""Engine options, what else is asked for, and what the refusal says."""


def refusals(model: str, folder: str) -> dict[str, str | None]:
    """What each of the requests is refused with; None where it is not."""

    def refusal(options: Mapping[str, Any], more: Mapping[str, Any]) -> str | None:
        rows = more.get("rows", {"messages": ['[{"role": "user", "content": "Hi"}]']})
        try:
            gristmill.run_batch(
                more.get("model", f"hf:{model}"),
                pa.table(rows),
                compute_pool="inline",
                output_spec=gristmill.OutputSpec(location=f"{folder}/output", mode="overwrite"),
                input_spec=gristmill.InputSpec(params=more.get("params")),
                job_spec=gristmill.JobSpec(**more.get("job", {})),
                inference_engine_options={"engine": "vllm", **options},
                settings=gristmill.Settings(home=f"{folder}/home"),
            )
        except gristmill.errors.GristmillError as error:
            return str(error)
        return None

    return {name: refusal(options, more) for name, (options, more, _) in REFUSED.items()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `output` holds a file."""
    folder = tmp_path_factory.mktemp("refused")
    (folder / "output").mkdir()
    (folder / "output" / "precious").write_text("old")
    return folder


@pytest.fixture(scope="module")
def refused(vllm_process: Preloaded, llama: str, place: Path) -> dict[str, str | None]:
    return vllm_process.call(refusals, llama, str(place))


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_request_is_refused_with_what_is_wrong(name: str, refused: dict[str, str | None]) -> None:
    said = refused[name]
    assert said is not None
    assert REFUSED[name][2] in said
    assert "hf_secret" not in said


def test_the_models_that_may_be_named_are_told_once(refused: dict[str, str | None], llama: str) -> None:
    said = refused["a model that is neither it nor an adapter"]
    assert said is not None
    assert said.count(llama) == 1


@pytest.mark.usefixtures("refused")
def test_nothing_is_written_for_what_is_refused(place: Path) -> None:
    assert sorted(str(path.relative_to(place)) for path in place.rglob("*")) == ["output", "output/precious"]


def test_arguments_are_understood_however_they_are_written(vllm_process: Preloaded, llama: str) -> None:
    given = [
        "--max-model-len 512",
        "--max_num_seqs=7",
        "  --dtype   float32 ",
        "--enforce_eager",
        "--no-enable-prefix-caching",
        '--hf-overrides={"rope_theta": 20000.0, "note": "a b=c"}',
        "--limit-mm-per-prompt.image 2",
        "--served_model_name=friend",
        "--max-num-batched-tokens=2k",
    ]

    def parsed() -> dict[str, Any]:
        from gristmill.engines.vllm.library import parse_arguments

        arguments = engine_arguments(llama, {"engine_args_override": given}, gpus=0, on_cpu=True)
        engine = parse_arguments(arguments, field="here").engine
        names = (
            *("model", "max_model_len", "max_num_seqs", "dtype", "enforce_eager", "enable_prefix_caching"),
            *("hf_overrides", "limit_mm_per_prompt", "served_model_name", "max_num_batched_tokens"),
        )
        return {name: getattr(engine, name) for name in names}

    assert vllm_process.call(parsed) == {
        "model": llama,
        "max_model_len": 512,
        "max_num_seqs": 7,
        "dtype": "float32",
        "enforce_eager": True,
        "enable_prefix_caching": False,
        "hf_overrides": {"rope_theta": 20000.0, "note": "a b=c"},
        "limit_mm_per_prompt": {"image": 2},
        "served_model_name": ["friend"],
        "max_num_batched_tokens": 2000,
    }


def test_each_argument_is_one_text_with_dashes() -> None:
    assert split_arguments(["--max-model-len 7048", "--a_b=c_d", "--x.some_key=1", '--j={"a_b": "c d"}', "--flag"]) == [
        "--max-model-len=7048",
        "--a-b=c_d",
        "--x.some_key=1",
        '--j={"a_b": "c d"}',
        "--flag",
    ]


@pytest.mark.parametrize(("gpus", "size"), [(0, None), (0.5, None), (1, None), (2, 2), (8, 8)])
def test_tensor_parallelism_follows_the_gpus(gpus: float, size: int | None) -> None:
    sizes = [
        argument
        for argument in engine_arguments("org/name", {}, gpus=gpus, on_cpu=False)
        if argument.startswith("--tensor-parallel-size")
    ]
    assert sizes == ([] if size is None else [f"--tensor-parallel-size={size}"])


def test_parallel_sizes_of_the_user_stay() -> None:
    options = {"engine_args_override": ["--pipeline_parallel_size 2", "--tensor-parallel-size=2"]}
    assert gpus_asked(options) == 4
    arguments = engine_arguments("org/name", options, gpus=4, on_cpu=False)
    assert [one for one in arguments if "parallel" in one] == ["--pipeline-parallel-size=2", "--tensor-parallel-size=2"]


@pytest.mark.parametrize("size", ["0", "-1", "two", ""])
def test_a_parallel_size_is_a_number(size: str) -> None:
    with pytest.raises(SpecError, match="--tensor-parallel-size must be a number"):
        gpus_asked({"engine_args_override": [f"--tensor-parallel-size={size}"]})


def test_code_of_a_model_is_trusted_by_an_option_of_its_own() -> None:
    arguments = engine_arguments("org/name", {"trust_remote_code": True}, gpus=0, on_cpu=False)
    assert "--trust-remote-code" in arguments
    for no in ({}, {"trust_remote_code": False}, {"trust_remote_code": None}):
        assert "--trust-remote-code" not in engine_arguments("org/name", no, gpus=0, on_cpu=False)


def test_answers_are_held_to_their_schema_by_guidance_unless_the_user_says_otherwise() -> None:
    (own,) = [one for one in engine_arguments("m", {}, gpus=0, on_cpu=False) if "structured" in one]
    assert json.loads(own.partition("=")[2])["backend"] == "guidance"
    options = {"engine_args_override": ["--structured-outputs-config.backend=xgrammar"]}
    found = [one for one in engine_arguments("m", options, gpus=0, on_cpu=False) if "structured" in one]
    assert found == ["--structured-outputs-config.backend=xgrammar"]


@pytest.mark.parametrize(
    ("given", "on_cpu", "places"),
    [
        ([], False, (2, 2)),
        (["--max-loras=1"], False, (1, 2)),
        (["--max-loras 4"], False, (4, 4)),
        (["--max_cpu_loras=1"], False, (1, 1)),
        (["--max-loras=1", "--max-cpu-loras=1"], False, (1, 1)),
        ([], True, (3, 3)),
        (["--max-loras=1", "--max-cpu-loras=1"], True, (3, 3)),
        (["--max-loras=7"], True, (7, 7)),
    ],
)
def test_adapters_have_places_and_on_cpus_one_that_stays_empty(
    given: list[str], on_cpu: bool, places: tuple[int, int]
) -> None:
    options = {"engine_args_override": given}
    arguments = engine_arguments("m", options, gpus=0, on_cpu=on_cpu, ranks=[8, 8])
    found = dict(argument.split("=", 1) for argument in arguments if "-loras=" in argument)
    assert (int(found["--max-loras"]), int(found["--max-cpu-loras"])) == places


def test_likely_tokens_are_bounded_as_vllm_is_told_to() -> None:
    assert logprobs_asked({}) == 20
    assert logprobs_asked({"engine_args_override": ["--max_logprobs 5", "--max-logprobs=50"]}) == 50
    assert logprobs_asked({"engine_args_override": ["--max-logprobs=-1"]}) is None


def test_an_executor_over_ray_is_seen_however_it_is_written() -> None:
    for written in ("--distributed-executor-backend=ray", "--distributed_executor_backend ray"):
        assert spreads({"engine_args_override": [written]})
    assert not spreads({"engine_args_override": ["--distributed-executor-backend=mp"]})


def test_the_cache_on_cpus_is_a_share_of_the_memory_unless_the_user_gives_its_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("VLLM_CPU_KVCACHE_SPACE", raising=False)

    def size(given: list[str], workers: int = 1) -> int | None:
        arguments = engine_arguments("m", {"engine_args_override": given}, gpus=0, workers=workers, on_cpu=True)
        sizes = [one.partition("=")[2] for one in arguments if one.startswith("--kv-cache-memory-bytes")]
        return int(sizes[0]) if sizes else None

    alone = size([])
    assert alone is not None
    assert 256 * 1024**2 <= alone <= 4 * 1024**3
    assert size(["--num-gpu-blocks-override=100"]) is None
    assert size(["--gpu-memory-utilization=0.9"]) is not None  # that is said of a GPU's memory, which nobody else needs
    assert (size([], workers=64) or 0) <= alone
