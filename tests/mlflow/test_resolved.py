import json
from pathlib import Path
from typing import Any

import pytest
from tests.model_registry import ModelRegistry, tiny_folder

from gristmill.errors import ModelError
from gristmill.mlflow.checkpoint import checkpoint_folder
from gristmill.mlflow.resolved import LocalModel, localized, resolved
from gristmill.mlflow.stored import StoredModel


def ours(**entries: Any) -> str:
    """An MLmodel file as Gristmill writes it; JSON is YAML."""
    told = {"version": 1, "functions": {}, "default_function": None, **entries}
    return json.dumps({"flavors": {}, "metadata": {"gristmill": told}})


def mlflow_transformers(task: str) -> dict[str, str]:
    """The files of a transformers model as MLflow lays them out."""
    flavors = {"transformers": {"task": task, "model_binary": "model"}, "python_function": {}}
    return {
        "MLmodel": json.dumps({"flavors": flavors}),
        "model/config.json": "{}",
        "model/model.safetensors": "weights",
        "components/tokenizer/tokenizer.json": "[]",
    }


def test_what_is_no_registered_model_stays_as_it_is(model_registry: ModelRegistry) -> None:
    for reference in ("echo:", "hf:org/name", "pickle:/models/a.pkl", "python:shop.models:Ranker"):
        assert localized(reference, model_registry.storage) == LocalModel(reference)


def test_a_checkpoint_is_the_folder_of_it_with_its_task(model_registry: ModelRegistry, tmp_path: Path) -> None:
    files = {"MLmodel": ours(form="checkpoint", task="text-generation"), "checkpoint/config.json": "{}"}
    model_registry.register("m", tiny_folder(tmp_path / "m", files))
    found = localized("models:/m", model_registry.storage)
    assert found.task == "text-generation"
    assert found.reference.startswith(f"hf:{model_registry.cache}/")
    assert Path(found.reference.removeprefix("hf:"), "config.json").is_file()
    assert found.for_engine("vllm") == found.reference
    assert Path(found.for_engine("python_generic").removeprefix("mlflow:"), "MLmodel").is_file()


def test_a_checkpoint_that_is_only_named_is_the_name(model_registry: ModelRegistry, tmp_path: Path) -> None:
    files = {"MLmodel": ours(form="checkpoint", hub="org/name")}
    model_registry.register("m", tiny_folder(tmp_path / "m", files))
    assert resolved("models:/m/1", model_registry.storage) == "hf:org/name"


def test_any_other_model_is_a_folder_of_mlflow(model_registry: ModelRegistry, tmp_path: Path) -> None:
    files = {"MLmodel": ours(form="custom")}
    model_registry.register("m", tiny_folder(tmp_path / "m", files))
    found = resolved("models:/m", model_registry.storage)
    assert found.startswith(f"mlflow:{model_registry.cache}/")
    assert Path(found.removeprefix("mlflow:"), "MLmodel").is_file()


def test_a_generating_model_of_plain_mlflow_is_put_together_as_one_folder(
    model_registry: ModelRegistry, tmp_path: Path
) -> None:
    model_registry.register("m", tiny_folder(tmp_path / "m", mlflow_transformers("text-generation")))
    found = localized("models:/m", model_registry.storage)
    assert found.task == "text-generation"
    folder = Path(found.reference.removeprefix("hf:"))
    there = {path.name: path.read_text() for path in folder.iterdir()}
    assert there == {"config.json": "{}", "model.safetensors": "weights", "tokenizer.json": "[]"}
    assert localized("models:/m", model_registry.storage) == found


def test_other_models_of_transformers_keep_their_folder_and_can_be_put_together(
    model_registry: ModelRegistry, tmp_path: Path
) -> None:
    model_registry.register("m", tiny_folder(tmp_path / "m", mlflow_transformers("text-classification")))
    folder = resolved("models:/m", model_registry.storage).removeprefix("mlflow:")
    together = checkpoint_folder(StoredModel.read(folder), model_registry.settings)
    assert together is not None
    assert sorted(path.name for path in Path(together).iterdir()) == [
        "config.json", "model.safetensors", "tokenizer.json",
    ]  # fmt: skip
    plain = tiny_folder(tmp_path / "plain")
    assert checkpoint_folder(StoredModel.read(plain), model_registry.settings) is None


def test_a_folder_that_holds_no_model_is_refused(model_registry: ModelRegistry, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no file MLmodel"):
        resolved(f"mlflow:{tmp_path}", model_registry.storage)
