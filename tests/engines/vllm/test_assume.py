"""What can be said of a model where vLLM is not, or sees no device; and what is refused all the same."""

from collections.abc import Mapping
from typing import Any

import pytest
from tests.preloaded import Preloaded

from gristmill.engines.protocol import AssumingEngine, LoadContext
from gristmill.engines.vllm.engine import VllmEngine
from gristmill.errors import GristmillError, MissingExtraError, ModelError, SpecError
from gristmill.models.params import check_params
from gristmill.storage.storage import Storage

RAY = "--distributed-executor-backend=ray"


def assume(storage: Storage, **options: Any) -> Any:
    return VllmEngine().assume("hf:/only/on/the/cluster", options, storage)


def test_the_model_may_be_any_that_vllm_runs_until_it_is_loaded(storage: Storage) -> None:
    assert isinstance(VllmEngine(), AssumingEngine)
    info = assume(storage, param_columns=["temperature"], output_prefix="r_")
    assert list(info.functions) == ["chat", "embed", "classify"]
    assert info.default_function == "chat"
    chat = info.functions["chat"]
    assert chat.is_chat
    assert "temperature" in [feature.name for feature in chat.inputs]
    assert (info.by_row, info.is_alone, info.gpus, info.spreads) == (True, True, None, False)


def test_the_arguments_say_how_many_gpus_a_copy_has_and_that_ray_places_them(storage: Storage) -> None:
    info = assume(storage, engine_args_override=["--tensor_parallel_size 4", "--distributed-executor-backend ray"])
    assert (info.gpus, info.spreads) == (4, True)


def test_likely_tokens_may_be_asked_for_up_to_what_vllm_is_told(storage: Storage) -> None:
    def asked(number: int, *arguments: str) -> Any:
        info = assume(storage, engine_args_override=list(arguments))
        return check_params({"logprobs": True, "top_logprobs": number}, info.functions["chat"])["top_logprobs"]

    assert asked(20) == 20
    assert asked(30, "--max-logprobs=30") == 30
    assert asked(-1, "--max-logprobs=-1") == -1
    with pytest.raises(SpecError, match="must be from 0 to 20, which is vLLM's --max-logprobs"):
        asked(21)


def test_adapters_that_only_the_cluster_has_are_left_to_it(storage: Storage) -> None:
    assert assume(storage, adapters={"a": "/only/on/the/cluster/a"}).functions
    with pytest.raises(SpecError, match=r"adapters\.a: 's3://b/a' is not on a disk"):
        assume(storage, adapters={"a": "s3://b/a"})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"engine_args_override": ["--model=other"]}, "--model cannot be set"),
        ({"engine_args_override": ["--trust-remote-code"]}, "trust_remote_code"),
        ({"engine_args_override": ["--tensor-parallel-size=two"]}, "must be a number of GPUs"),
        ({"engine_args_override": [RAY], "engine_mode": "in_process"}, "leave out engine_mode"),
        ({"engine_mode": "elsewhere"}, "must be one of in_process, own_process"),
        ({"window": 0}, "window"),
        ({"prefix_grouping": "yes"}, "prefix_grouping"),
        ({"param_columns": ["mood"]}, "mood"),
        ({"adapters": ["a"]}, "must be a dict"),
    ],
)
def test_what_can_be_told_to_be_wrong_is_refused(storage: Storage, options: Mapping[str, Any], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        assume(storage, **options)


def test_vllm_without_a_device_says_so(vllm_process: Preloaded, llama: str, storage: Storage) -> None:
    with pytest.raises(MissingExtraError, match=r"needs a device that vLLM .* it sees none on this machine"):
        vllm_process.call(_describe_without_device, f"hf:{llama}", storage)


def test_a_function_that_the_model_has_not_is_refused_when_it_is_loaded(
    vllm_process: Preloaded, llama: str, storage: Storage
) -> None:
    error = vllm_process.call(_loading_error, f"hf:{llama}", storage, "embed", {})
    assert isinstance(error, ModelError)
    assert "has no function 'embed', only chat" in str(error)


def test_vllm_on_cpus_does_not_know_ray_and_says_so(vllm_process: Preloaded, llama: str, storage: Storage) -> None:
    error = vllm_process.call(_loading_error, f"hf:{llama}", storage, "chat", {"engine_args_override": [RAY]})
    assert isinstance(error, ModelError)
    assert "leave the argument out" in str(error)


def _describe_without_device(model: str, storage: Storage) -> None:
    import vllm.platforms
    from vllm.platforms.interface import UnspecifiedPlatform

    vllm.platforms._current_platform = UnspecifiedPlatform()
    VllmEngine().describe(model, {}, storage)


def _loading_error(model: str, storage: Storage, function: str, options: dict[str, Any]) -> GristmillError | None:
    import pyarrow as pa

    schema = pa.schema({"messages": pa.string(), "text": pa.string()})
    try:
        VllmEngine().load(LoadContext(model, function, storage, schema, options=options))
    except GristmillError as error:
        return error
    return None


def test_an_adapter_is_not_named_like_its_model(storage: Storage) -> None:
    with pytest.raises(SpecError, match=r"adapters: '/only/on/the/cluster' is the name of the model itself"):
        assume(storage, adapters={"/only/on/the/cluster": "/anywhere"})
