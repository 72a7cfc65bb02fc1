"""What the tests of the engine vllm share: tiny models, and jobs that run in forks of a process with vLLM imported."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.preloaded import Preloaded
from tests.tiny.models import model_folder

import gristmill
from gristmill.settings import Settings

ARGUMENTS = ("--dtype=float32", "--enforce-eager")
"""For engines in tests. In bfloat16 an answer depends on what else is in the engine at the time, because likely tokens
are near to each other in a model of random weights; and nothing is compiled, which takes longer than the tests."""

Conversation = list[dict[str, Any]]


@pytest.fixture(scope="session")
def llama() -> str:
    """A folder with a chat model; its context has 2,048 tokens."""
    return str(model_folder("llama"))


@pytest.fixture(scope="session")
def adapters() -> dict[str, str]:
    """Two LoRA adapters for it, `a` and `b`."""
    return {alias: str(model_folder(f"llama-adapter-{alias}")) for alias in ("a", "b")}


@pytest.fixture(scope="session")
def base() -> str:
    """A folder with the same model without a chat template."""
    return str(model_folder("base"))


@pytest.fixture(scope="session")
def idefics3() -> str:
    """A folder with a chat model for images."""
    return str(model_folder("idefics3"))


@pytest.fixture(scope="session")
def qwen2_audio() -> str:
    """A folder with a chat model for sounds."""
    return str(model_folder("qwen2_audio"))


@pytest.fixture(scope="session")
def omni() -> str:
    """A folder with a chat model for images, sounds and films."""
    return str(model_folder("omni"))


@pytest.fixture(scope="session")
def bert() -> str:
    """A folder with a model that embeds texts as 128 numbers."""
    return str(model_folder("bert"))


@pytest.fixture(scope="session")
def bert_classifier() -> str:
    """A folder with a model that sorts texts into red, green and blue."""
    return str(model_folder("bert_classifier"))


@pytest.fixture(scope="session")
def answers(vllm_process: Preloaded) -> Callable[..., list[str]]:
    """What vLLM itself says to conversations: `answers(model, conversations, adapter=folder, temperature=0, ...)`.

    Named arguments are those of `SamplingParams`, but `engine`, arguments of `LLM`, and `adapter`, a LoRA adapter.
    """

    def answers_of(
        model: str,
        conversations: Sequence[Conversation],
        *,
        engine: Mapping[str, Any] | None = None,
        adapter: str | None = None,
        **sampling: Any,
    ) -> list[str]:
        return vllm_process.call(_answers, model, list(conversations), dict(engine or {}), adapter, sampling)

    return answers_of


@dataclass(frozen=True)
class Outcome:
    """How a job ended: its status and message, its output's rows, and the manifest (None without an output)."""

    status: gristmill.JobStatus
    message: str | None
    rows: list[dict[str, Any]]
    manifest: Any


@pytest.fixture
def run_job(vllm_process: Preloaded, settings: Settings, tmp_path: Path) -> Callable[..., Outcome]:
    """Runs a job to its end in a fork with vLLM imported: `run_job(llama, table, params={...}, arguments=[...])`.

    The model is a folder, `source` a frame or a location. `arguments` are vLLM's (besides `ARGUMENTS`), `engine` other
    options of the engine, and the rest is the job spec. The output is `tmp_path / "output"`, overwritten.
    """

    def run(
        model: str,
        source: Any,
        *,
        params: Mapping[str, Any] | None = None,
        arguments: Sequence[str] = (),
        engine: Mapping[str, Any] | None = None,
        settings: Settings = settings,
        **job: Any,
    ) -> Outcome:
        given = {"engine": "vllm", "engine_args_override": [*ARGUMENTS, *arguments]}
        options = {
            "inference_engine_options": {**given, **(engine or {})},
            "input_spec": gristmill.InputSpec(params=dict(params or {})),
            "job_spec": gristmill.JobSpec(**{"block": True, **job}),
            "output_spec": gristmill.OutputSpec(location=tmp_path / "output", mode="overwrite"),
        }
        return vllm_process.call(_run, f"hf:{model}", source, settings, options)

    return run


def _answers(
    model: str, conversations: list[Conversation], engine: dict[str, Any], adapter: str | None, sampling: dict[str, Any]
) -> list[str]:
    from vllm import LLM, SamplingParams
    from vllm.lora.request import LoRARequest

    options = {"dtype": "float32", "enforce_eager": True, "distributed_executor_backend": "uni", **engine}
    lora = None if adapter is None else LoRARequest("adapter", 1, adapter)
    llm = LLM(model, enable_lora=lora is not None, **options)
    outputs = llm.chat(conversations, SamplingParams(**sampling), use_tqdm=False, lora_request=lora)
    return [output.outputs[0].text for output in outputs]


def _run(model: str, source: Any, settings: Settings, options: dict[str, Any]) -> Outcome:
    where = {"input_location": source} if isinstance(source, str | Path) else {"X": source}
    job = gristmill.run_batch(model, **where, compute_pool="inline", settings=settings, **options)
    status = job.wait()
    if status is not gristmill.JobStatus.DONE:
        return Outcome(status, job.message, [], None)
    output = options["output_spec"].location
    rows = gristmill.read_output(output, settings=settings).to_pylist()
    return Outcome(status, job.message, rows, gristmill.read_manifest(output, settings=settings))
