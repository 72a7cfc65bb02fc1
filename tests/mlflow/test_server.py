"""Models of a tracking server in another process: jobs here, and jobs for a cluster that only reads what it must."""

import json
import socket
from pathlib import Path

import pyarrow as pa
import pytest
from tests.model_registry import ModelRegistry, estimator_folder, tiny_folder

import gristmill
from gristmill import JobSpec, OutputSpec, PoolSettings, Settings
from gristmill.errors import ModelError, RegistryError, SpecError
from gristmill.mlflow.pin import pinned
from gristmill.mlflow.register import register, workplace
from gristmill.spec.engine import EngineOptions
from gristmill.spec.enums import JobStatus
from gristmill.storage.storage import Storage
from gristmill.submission.model import find_model

FAR = {"far": PoolSettings(kind="ray", address="http://127.0.0.1:9")}
ROWS = pa.table({"a": [1.0, 2.0], "b": [1.0, 5.0]})


@pytest.fixture
def served(mlflow_server: str, settings: Settings, tmp_path: Path) -> Settings:
    """Settings that name the server, which has a linear model `served`."""
    with workplace(mlflow_server) as folder:
        register(mlflow_server, estimator_folder(folder), name="served", version_name=None)
    changes = {"registry": mlflow_server, "model_cache": str(tmp_path / "cache"), "pools": FAR}
    return settings.model_copy(update=changes)


def run(
    settings: Settings, tmp_path: Path, pool: str, *, model: str = "models:/served", **how: object
) -> gristmill.Job:
    return gristmill.run_batch(
        model,
        ROWS,
        output_spec=OutputSpec(location=tmp_path / "out"),
        compute_pool=pool,
        job_spec=JobSpec(block=True, **how),
        settings=settings,
    )


def test_a_job_runs_a_model_of_a_server(served: Settings, tmp_path: Path) -> None:
    job = run(served, tmp_path, "local")
    assert job.status is JobStatus.DONE, job.message
    assert gristmill.read_output(tmp_path / "out", settings=served)["output_feature_0"].to_pylist() == [2.0, 7.0]
    pin = pinned("models:/served", served)
    assert pin.is_of_content
    assert [path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()] == [pin.digest]


def test_a_client_of_a_cluster_reads_what_tells_of_the_model_alone(served: Settings, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no function 'rank'; it has: .*predict"):
        run(served, tmp_path, "far", function_name="rank")
    assert not (tmp_path / "cache").exists()


def test_a_chat_model_for_a_cluster_is_told_by_its_small_files(mlflow_server: str, settings: Settings) -> None:
    told = {"version": 1, "form": "checkpoint", "functions": {}, "default_function": None}
    files = {
        "MLmodel": json.dumps({"flavors": {}, "metadata": {"gristmill": told}}),
        "checkpoint/config.json": json.dumps({"architectures": ["LlamaForCausalLM"]}),
        "checkpoint/tokenizer_config.json": json.dumps({"chat_template": "{{ messages }}"}),
        "checkpoint/model.safetensors": "weights",
    }
    with workplace(mlflow_server) as folder:
        register(mlflow_server, tiny_folder(folder, files), name="chat", version_name=None)
    storage = Storage(settings.model_copy(update={"registry": mlflow_server}))
    found = find_model("models:/chat", storage, EngineOptions(), is_elsewhere=True)
    assert (found.engine.name, found.info.default_function) == ("vllm", "chat")
    assert found.options == {"engine_args_override": ["--served-model-name=models:/chat/1"]}


def test_a_registry_on_a_disk_serves_no_cluster(model_registry: ModelRegistry, tmp_path: Path) -> None:
    model_registry.register("m", tiny_folder(tmp_path / "m"))
    settings = model_registry.settings.model_copy(update={"pools": FAR})
    with pytest.raises(SpecError, match=r"'models:/m/1': the registry sqlite:.* on this machine's disk.*at a server"):
        run(settings, tmp_path, "far", model="models:/m")


def test_a_server_that_does_not_answer_is_told_at_once(settings: Settings, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(RegistryError, match=f"the registry {address} does not answer"):
        run(settings.model_copy(update={"registry": address}), tmp_path, "inline")
