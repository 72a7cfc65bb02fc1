from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.model_registry import ModelRegistry, tiny_folder

from gristmill.errors import GristmillError, ModelError, RegistryError
from gristmill.mlflow.digest import folder_digest
from gristmill.mlflow.pin import DIGEST_TAG, VERSION_NAME_TAG
from gristmill.mlflow.register import check_is_free, forget, register, workplace


def logged(registry: ModelRegistry, name: str = "m", version_name: str | None = None, **more: Any) -> Any:
    with workplace(registry.address) as folder:
        return register(registry.address, tiny_folder(folder, {"w": "1"}), name=name, version_name=version_name, **more)


def files(registry: ModelRegistry) -> list[Path]:
    return [path for path in (registry.root / "artifacts").rglob("*") if path.is_file()]


def test_a_version_tells_what_it_is(model_registry: ModelRegistry) -> None:
    version = logged(model_registry, "mö del", "v1", comment="first", metrics={"auc": 0.9})
    assert (version.name, version.version, version.description, version.status) == ("mö del", 1, "first", "READY")
    assert version.tags[VERSION_NAME_TAG] == "v1"
    place = model_registry.client.get_model_version_download_uri("mö del", "1")
    assert version.tags[DIGEST_TAG] == folder_digest(Path(place.removeprefix("file://")))
    assert sorted(path.name for path in files(model_registry)) == ["MLmodel", "w"]


def test_a_models_first_version_is_its_default(model_registry: ModelRegistry) -> None:
    assert logged(model_registry).aliases == ["default"]
    assert logged(model_registry).aliases == []
    assert model_registry.client.get_registered_model("m").aliases == {"default": 1}


def test_a_name_that_is_taken_is_refused(model_registry: ModelRegistry) -> None:
    logged(model_registry, version_name="v1")
    model_registry.client.set_registered_model_alias("m", "champion", "1")
    with pytest.raises(ModelError, match="version 'v1' of model 'm' exists already"):
        check_is_free(model_registry.address, "m", "v1")
    with pytest.raises(ModelError, match="'champion' is an alias of model 'm'"):
        check_is_free(model_registry.address, "m", "champion")
    check_is_free(model_registry.address, "m", "v2")
    check_is_free(model_registry.address, "another", "v1")


def test_of_many_that_log_one_name_at_once_one_wins_and_nothing_is_left_of_the_others(
    model_registry: ModelRegistry,
) -> None:
    def attempt(_: int) -> Any:
        try:
            return logged(model_registry, version_name="v1")
        except GristmillError as error:
            return error

    with ThreadPoolExecutor(5) as threads:
        ends = list(threads.map(attempt, range(5)))
    won = [end for end in ends if not isinstance(end, GristmillError)]
    assert len(won) == 1
    assert all("exists already" in str(end) for end in ends if isinstance(end, GristmillError))
    there = model_registry.client.search_model_versions("name='m'")
    assert [version.version for version in there] == [won[0].version]
    assert model_registry.client.get_model_version_by_alias("m", "default").version == won[0].version
    assert len(files(model_registry)) == 2


def test_a_log_that_fails_leaves_no_version_and_no_files(model_registry: ModelRegistry) -> None:
    with pytest.raises(GristmillError):
        logged(model_registry, name="a/b")  # what MLflow refuses at the very end
    assert model_registry.client.search_registered_models() == []
    assert files(model_registry) == []


def test_another_programs_experiment_of_our_name_is_used_even_if_deleted(model_registry: ModelRegistry) -> None:
    client = model_registry.client
    experiment = client.create_experiment("gristmill", (model_registry.root / "artifacts" / "theirs").as_uri())
    client.delete_experiment(experiment)
    logged(model_registry)
    assert (model_registry.root / "artifacts" / "theirs").is_dir()


def test_what_is_forgotten_is_marked_for_mlflows_own_cleaning(model_registry: ModelRegistry) -> None:
    version = logged(model_registry)
    client = model_registry.client
    experiment = client.get_experiment_by_name("gristmill").experiment_id
    assert len(client.search_logged_models([experiment])) == 1
    forget(model_registry.address, [version])
    assert client.search_logged_models([experiment]) == []
    forget(model_registry.address, [version])  # a second time is as well


def test_no_place_for_the_files_is_told(tmp_path: Path) -> None:
    (tmp_path / "artifacts").touch()
    with pytest.raises(RegistryError, match="no place to be written in"), workplace(f"sqlite:///{tmp_path}/mlflow.db"):
        pass
