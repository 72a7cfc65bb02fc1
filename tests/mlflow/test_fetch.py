import shutil
from pathlib import Path

import pytest
from tests.model_registry import ModelRegistry, tiny_folder

from gristmill.errors import AccessError, ModelError, RegistryError
from gristmill.mlflow.fetch import fetched, head_of
from gristmill.mlflow.pin import pinned
from gristmill.storage.storage import Storage


def test_files_are_here_as_they_were_registered(model_registry: ModelRegistry, tmp_path: Path) -> None:
    model_registry.register("m", tiny_folder(tmp_path / "m", {"data/deep/weights": "w"}))
    folder = Path(fetched("models:/m", model_registry.storage))
    assert (folder / "data" / "deep" / "weights").read_text() == "w"
    assert folder.is_relative_to(model_registry.cache)


def test_what_is_here_needs_neither_the_registry_nor_its_files(model_registry: ModelRegistry, tmp_path: Path) -> None:
    reference = model_registry.register("m", tiny_folder(tmp_path / "m"))
    pin = pinned(reference, model_registry.settings)
    folder = fetched(reference, model_registry.storage, digest=pin.digest)
    shutil.rmtree(model_registry.root)
    assert fetched(reference, model_registry.storage, digest=pin.digest) == folder
    untrusting = Storage(model_registry.settings.model_copy(update={"trusted_registries": ()}))
    with pytest.raises(AccessError):
        fetched(reference, untrusting, digest=pin.digest)


def test_files_that_were_changed_are_refused_and_not_kept(model_registry: ModelRegistry, tmp_path: Path) -> None:
    reference = model_registry.register("m", tiny_folder(tmp_path / "m", {"weights": "right"}))
    (model_registry.artifacts_of(reference) / "weights").write_text("wrong")
    with pytest.raises(ModelError, match="models:/m/1.*not those that were registered .*artifacts/m-0"):
        fetched(reference, model_registry.storage)
    assert not list(model_registry.cache.glob("*/model"))
    (model_registry.artifacts_of(reference) / "weights").write_text("right")
    assert fetched(reference, model_registry.storage)


@pytest.mark.parametrize("with_digest", [True, False])
def test_files_that_are_gone_are_named(with_digest: bool, model_registry: ModelRegistry, tmp_path: Path) -> None:
    reference = model_registry.register("m", tiny_folder(tmp_path / "m"), with_digest=with_digest)
    shutil.rmtree(model_registry.artifacts_of(reference))
    with pytest.raises((ModelError, RegistryError), match="models:/m/1.*(deleted or moved|No such)"):
        fetched(reference, model_registry.storage)


def test_another_model_under_the_same_number_does_not_slip_in(model_registry: ModelRegistry, tmp_path: Path) -> None:
    for with_digest in (True, False):
        reference = model_registry.register("m", tiny_folder(tmp_path / "m", {"w": "1"}), with_digest=with_digest)
        pin = pinned(reference, model_registry.settings)
        model_registry.client.delete_registered_model("m")
        model_registry.register("m", tiny_folder(tmp_path / "m", {"w": "2"}), with_digest=with_digest)
        with pytest.raises(ModelError, match="models:/m/1.*(not those that were registered|another was made)"):
            fetched(reference, model_registry.storage, digest=pin.digest)
        model_registry.client.delete_registered_model("m")


def test_a_head_has_what_tells_of_a_model_and_no_weights(model_registry: ModelRegistry, tmp_path: Path) -> None:
    files = {"checkpoint/config.json": "{}", "checkpoint/model.safetensors": "w", "model.pkl": "w"}
    pin = pinned(model_registry.register("m", tiny_folder(tmp_path / "m", files)), model_registry.settings)
    with head_of(pin) as head:
        there = sorted(path.relative_to(head).as_posix() for path in Path(head).rglob("*") if path.is_file())
    assert there == ["MLmodel", "checkpoint/config.json"]
    assert not Path(head).exists()
