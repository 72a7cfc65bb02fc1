"""What Ray Serve is told of a service."""

import pytest
from tests.services.conftest import Serve

from gristmill.errors import SpecError
from gristmill.services.ray_server import engine_kwargs, llm_config
from gristmill.services.request import ServiceRequest


def _request(**fields: object) -> ServiceRequest:
    return ServiceRequest(
        **{"model": "hf:org/m", "served_model": "m", "engine": "vllm", "pool": "gpu", "kind": "ray", **fields}
    )


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("--max-model-len=4096", {"max_model_len": 4096}),
        ("--gpu-memory-utilization=0.5", {"gpu_memory_utilization": 0.5}),
        ("--dtype=float32", {"dtype": "float32"}),
        ("--enforce-eager", {"enforce_eager": True}),
        ("--no-enable-prefix-caching", {"enable_prefix_caching": False}),
        ("--enable-prefix-caching=false", {"enable_prefix_caching": False}),
        ('--override-generation-config={"top_k": 5}', {"override_generation_config": {"top_k": 5}}),
        ("--compilation-config.cache_dir=/x", {"compilation_config": {"cache_dir": "/x"}}),
    ],
)
def test_arguments_are_those_of_the_engine_as_values(argument: str, expected: dict[str, object]) -> None:
    assert engine_kwargs([argument]) == expected


def test_each_replica_has_the_resources_that_were_asked() -> None:
    config = llm_config(
        _request(replicas=3, gpu_requests=2, cpu_requests=8, memory_requests="16GiB"), model="hf:org/m", on_cpu=False
    )
    assert config["deployment_config"] == {"num_replicas": 3}
    assert config["model_loading_config"] == {"model_id": "m", "model_source": "org/m"}
    bundle = {"CPU": 4.0, "GPU": 1.0, "memory": 8.0 * 1024**3}
    assert config["placement_group_config"] == {"bundle_per_worker": bundle}
    assert config["engine_kwargs"]["tensor_parallel_size"] == 2
    assert "model" not in config["engine_kwargs"]


def test_a_replica_has_a_gpu_unless_vllm_runs_on_cpus() -> None:
    on_gpu = llm_config(_request(), model="hf:org/m", on_cpu=False)
    assert on_gpu["placement_group_config"] == {"bundle_per_worker": {"CPU": 1.0, "GPU": 1.0}}
    assert "accelerator_config" not in on_gpu
    on_cpu = llm_config(_request(cpu_requests=3), model="hf:/models/m", on_cpu=True)
    assert on_cpu["placement_group_config"] == {"bundle_per_worker": {"CPU": 3.0}}
    assert on_cpu["accelerator_config"] == {"kind": "cpu"}


def test_a_share_of_a_gpu_is_a_share_of_a_gpu() -> None:
    config = llm_config(_request(gpu_requests=0.5), model="hf:org/m", on_cpu=False)
    assert config["placement_group_config"] == {"bundle_per_worker": {"CPU": 1.0, "GPU": 0.5}}
    assert "tensor_parallel_size" not in config["engine_kwargs"]


def test_ray_does_not_serve_the_echo(serve: Serve) -> None:
    with pytest.raises(SpecError, match="pool: 'echo:chat' is served on this machine"):
        serve(pool="ray")
