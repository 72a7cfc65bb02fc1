from pathlib import Path

import pytest

from gristmill.errors import ModelError, SpecError
from gristmill.settings import Settings
from gristmill.spec.engine import EngineOptions
from gristmill.storage.storage import Storage
from gristmill.submission.model import find_model
from tests.model_registry import ModelRegistry, estimator_folder, tiny_folder


def test_a_registered_model_is_pinned_with_its_digest_and_looked_at_here(
    model_registry: ModelRegistry, tmp_path: Path
) -> None:
    model_registry.register("sum", estimator_folder(tmp_path / "sum"), version_name="v1")
    found = find_model("models:/sum/v1", model_registry.storage, EngineOptions())
    assert (found.model, found.engine.name, found.registry) == ("models:/sum/1", "python_generic", None)
    assert found.digests["model"].split() == ["models:/sum/1", next(model_registry.cache.glob("*/model")).parent.name]
    assert str(found.local).startswith(f"mlflow:{model_registry.cache}/")
    assert found.info.default_function == "predict"


def test_a_folder_of_mlflow_is_told_from_another_in_its_place(storage: Storage, tmp_path: Path) -> None:
    folder = estimator_folder(tmp_path / "sum")
    first = find_model(folder, storage, EngineOptions())
    assert first.model == first.local == f"mlflow:{folder}"
    (folder / "MLmodel").write_text((folder / "MLmodel").read_text() + "\n# another\n")
    assert find_model(f"mlflow:{folder}", storage, EngineOptions()).digests != first.digests


def test_a_folder_without_its_file_is_refused(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no file MLmodel in"):
        find_model(f"mlflow:{tmp_path}", storage, EngineOptions())


def test_the_settings_own_registry_is_not_recorded_when_it_is_named(
    model_registry: ModelRegistry, tmp_path: Path
) -> None:
    model_registry.register("sum", estimator_folder(tmp_path / "sum"))
    named = EngineOptions.of({"registry": model_registry.address})
    assert find_model("models:/sum", model_registry.storage, named).registry is None
    elsewhere = Storage(model_registry.settings.model_copy(update={"registry": "http://127.0.0.1:9"}))
    assert find_model("models:/sum", elsewhere, named).registry == model_registry.address


def test_vllm_refuses_what_is_no_transformers_model(model_registry: ModelRegistry, tmp_path: Path) -> None:
    model_registry.register("m", tiny_folder(tmp_path / "m"))
    with pytest.raises(ModelError, match="registered ones that are transformers models"):
        find_model("models:/m", model_registry.storage, EngineOptions(engine="vllm"))


def test_a_registry_for_another_kind_of_reference_is_refused(settings: Settings) -> None:
    with pytest.raises(SpecError, match="only a model that is given as models:"):
        find_model("echo:", Storage(settings), EngineOptions(registry="http://mlflow.lab"))
