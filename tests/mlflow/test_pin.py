from pathlib import Path

import pytest
from tests.model_registry import ModelRegistry, tiny_folder

from gristmill.errors import AccessError, ModelError, SpecError
from gristmill.mlflow.digest import folder_digest
from gristmill.mlflow.pin import pinned


@pytest.fixture
def three(model_registry: ModelRegistry, tmp_path: Path) -> ModelRegistry:
    """A model with three versions, the second of them named."""
    for number, name in ((1, None), (2, "v-two"), (3, None)):
        model_registry.register("churn", tiny_folder(tmp_path / str(number), {"n": str(number)}), version_name=name)
    return model_registry


def test_a_reference_is_pinned_by_number_name_alias_default_and_newest(three: ModelRegistry) -> None:
    def pin(reference: str) -> str:
        return pinned(reference, three.settings).reference

    three.client.set_registered_model_alias("churn", "champion", "1")
    assert pin("models:/churn/2") == "models:/churn/2"
    assert pin("models:/churn/v-two") == "models:/churn/2"
    assert pin("models:/churn@champion") == "models:/churn/1"
    assert pin("models:/churn") == "models:/churn/3"
    assert pin("models:/churn/latest") == "models:/churn/3"
    three.client.set_registered_model_alias("churn", "default", "2")
    assert pin("models:/churn") == "models:/churn/2"


def test_the_digest_is_that_of_the_files_where_the_version_has_one(three: ModelRegistry) -> None:
    pin = pinned("models:/churn/2", three.settings)
    assert pin.digest == folder_digest(three.artifacts_of("models:/churn/2"))
    assert pin.registry == three.address
    assert pin.is_of_content


def test_a_version_of_plain_mlflow_that_is_made_anew_is_another(model_registry: ModelRegistry, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "plain")
    model_registry.register("plain", folder, with_digest=False, move=False)
    first = pinned("models:/plain/1", model_registry.settings)
    assert pinned("models:/plain/1", model_registry.settings) == first
    model_registry.client.delete_registered_model("plain")
    model_registry.register("plain", folder, with_digest=False, move=False)
    again = pinned("models:/plain/1", model_registry.settings)
    assert (again.reference, again.is_of_content) == (first.reference, False)
    assert again.digest != first.digest


def test_what_there_is_is_named_where_there_is_no_such_model_or_version(three: ModelRegistry) -> None:
    with pytest.raises(ModelError, match="no version of a model 'chrun'; it has: churn"):
        pinned("models:/chrun/1", three.settings)
    with pytest.raises(ModelError, match=r"models:/churn/9.*no such version; it has: 3, 2 \(v-two\), 1"):
        pinned("models:/churn/9", three.settings)
    with pytest.raises(ModelError, match="models:/churn@gone.*it has: 3"):
        pinned("models:/churn@gone", three.settings)


@pytest.mark.parametrize("name", ["it's", 'say "so"', "größe 1", "'\""])
def test_names_of_any_letters_are_found(name: str, model_registry: ModelRegistry, tmp_path: Path) -> None:
    model_registry.register(name, tiny_folder(tmp_path / "model"), version_name="first", move=False)
    assert pinned(f"models:/{name}/first", model_registry.settings).reference == f"models:/{name}/1"


def test_a_registry_that_is_not_trusted_is_not_asked(three: ModelRegistry, tmp_path: Path) -> None:
    elsewhere = three.settings.model_copy(update={"trusted_registries": ("http://mlflow.lab:5000",)})
    with pytest.raises(AccessError, match=r"mlflow\.db is not among settings\.trusted_registries"):
        pinned("models:/churn", elsewhere)
    trusting = three.settings.model_copy(update={"trusted_registries": (f"sqlite:///{three.root}",)})
    assert pinned("models:/churn", trusting).reference == "models:/churn/3"
    with pytest.raises(AccessError):
        pinned("models:/churn", trusting, registry=f"sqlite:///{tmp_path}/another.db")
    assert not (tmp_path / "another.db").exists()


def test_a_password_in_an_address_is_refused_and_not_repeated(three: ModelRegistry) -> None:
    with pytest.raises(SpecError, match="MLFLOW_TRACKING_TOKEN") as refused:
        pinned("models:/churn", three.settings, registry="http://ann:hunter2@mlflow.lab")
    assert "hunter2" not in str(refused.value)
