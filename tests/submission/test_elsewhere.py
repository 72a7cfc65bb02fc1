"""Jobs for other machines: what a client need not have itself, and copies of a model over several nodes."""

from pathlib import Path

import pyarrow as pa
import pytest

import gristmill
from gristmill import JobSpec, OutputSpec, PoolSettings, Settings
from gristmill.engines.protocol import ModelInfo
from gristmill.errors import ModelError, SpecError
from gristmill.submission.checks import check_pool

POOLS = {
    "near": PoolSettings(kind="ray"),
    "far": PoolSettings(kind="ray", address="http://127.0.0.1:9"),
}
SPREAD = ModelInfo({}, spreads=True)


def attempt(settings: Settings, tmp_path: Path, pool: str) -> None:
    """Submit a chat over rows that have none, which is seen once the model has been looked at."""
    gristmill.run_batch(
        "hf:/only/on/the/cluster",
        pa.table({"id": [1]}),
        output_spec=OutputSpec(location=tmp_path / "out"),
        inference_engine_options={"engine": "vllm"},
        compute_pool=pool,
        settings=settings.model_copy(update={"pools": POOLS}),
    )


def test_a_folder_that_only_the_cluster_has_is_left_to_it(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="messages"):
        attempt(settings, tmp_path, "far")


def test_a_folder_that_is_not_there_is_refused_where_the_job_would_run_here(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no config\.json"):
        attempt(settings, tmp_path, "near")


def test_a_copy_over_nodes_needs_ray() -> None:
    with pytest.raises(SpecError, match="the pool 'p' has no Ray; use a pool of kind \"ray\""):
        check_pool(PoolSettings(kind="local"), JobSpec(gpu_requests=2), SPREAD, name="p", locations=[])


@pytest.mark.parametrize("gpus", [None, 0.5])
def test_a_copy_over_nodes_needs_whole_gpus(gpus: float | None) -> None:
    with pytest.raises(SpecError, match=r"gpu_requests=.*one worker on each GPU; ask for the GPUs of one copy"):
        check_pool(POOLS["near"], JobSpec(gpu_requests=gpus), SPREAD, name="p", locations=[])


def test_a_copy_over_nodes_with_its_gpus_is_fine() -> None:
    check_pool(POOLS["far"], JobSpec(gpu_requests=4, replicas=2), SPREAD, name="p", locations=[])
