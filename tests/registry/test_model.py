import numpy as np
import pytest
from tests.registry.conftest import Doubler

from gristmill.errors import ModelError, SpecError
from gristmill.registry.model import RegisteredModel
from gristmill.registry.registry import Registry


@pytest.fixture
def model(registry: Registry) -> RegisteredModel:
    """A model with the versions v1, v2, and a third without a name."""
    for version in ("v1", "v2", None):
        registry.log_model(Doubler, model_name="m", version_name=version, comment=f"is {version}")
    return registry.get_model("m")


def test_a_version_is_found_by_name_number_and_alias(model: RegisteredModel) -> None:
    model.set_alias("champion", "v2")
    names = ("v1", 2, "2", "3", np.int64(3), "champion", "default")
    assert [model.version(one).number for one in names] == [1, 2, 2, 3, 3, 2, 1]
    assert [version.number for version in model.versions()] == [3, 2, 1]


@pytest.mark.parametrize("version", ["v4", 9, "nix"])
def test_a_version_that_is_not_there_is_refused_with_those_there_are(model: RegisteredModel, version: object) -> None:
    with pytest.raises(ModelError, match=f"no version '{version}'; it has: 3, v2, v1; aliases: default"):
        model.version(version)  # type: ignore[arg-type]


@pytest.mark.parametrize("version", ["", None, True, 1.5])
def test_what_names_no_version_is_refused(model: RegisteredModel, version: object) -> None:
    with pytest.raises(SpecError, match="version: give a version's name or number"):
        model.version(version)  # type: ignore[arg-type]


def test_a_comment_is_text(model: RegisteredModel) -> None:
    with pytest.raises(SpecError, match="comment: give a text"):
        model.comment = 5  # type: ignore[assignment]


def test_the_default_can_be_set(model: RegisteredModel) -> None:
    assert model.default.version_name == "v1"
    model.default = model.version("v2")
    assert model.default.version_name == "v2"
    model.default = 3
    assert model.default.version_name == "3"
    model.default = "v1"
    assert model.default.number == 1
    with pytest.raises(ModelError, match="no version 'v9'"):
        model.default = "v9"


def test_a_version_of_another_model_is_no_default(registry: Registry, model: RegisteredModel) -> None:
    other = registry.log_model(Doubler, model_name="other")
    with pytest.raises(SpecError, match="is not a version of"):
        model.default = other


def test_aliases_are_set_moved_and_removed(model: RegisteredModel) -> None:
    model.set_alias("champion", "v1")
    model.set_alias("champion", "v2")
    assert model.aliases == {"champion": 2, "default": 1}
    model.unset_alias("champion")
    assert model.aliases == {"default": 1}
    with pytest.raises(ModelError, match="no alias 'champion'; it has: default"):
        model.unset_alias("champion")
    with pytest.raises(SpecError, match="alias: 'v3'"):
        model.set_alias("v3", 1)


def test_an_alias_and_a_versions_name_are_not_the_same_word(registry: Registry, model: RegisteredModel) -> None:
    registry.log_model(Doubler, model_name="m", version_name="stable")
    with pytest.raises(SpecError, match="'stable' is the name of a version"):
        model.set_alias("stable", 1)
    model.set_alias("champion", 1)
    with pytest.raises(ModelError, match="'champion' is an alias"):
        registry.log_model(Doubler, model_name="m", version_name="champion")


def test_versions_are_shown(model: RegisteredModel) -> None:
    rows = model.show_versions().collect()
    assert [(row["name"], row["number"], row["is_default_version"], row["comment"]) for row in rows] == [
        ("3", 3, False, "is None"),
        ("v2", 2, False, "is v2"),
        ("v1", 1, True, "is v1"),
    ]


def test_a_deleted_version_is_gone_and_its_name_free(registry: Registry, model: RegisteredModel) -> None:
    model.set_alias("champion", "v2")
    model.delete_version("v2")
    assert [version.version_name for version in model.versions()] == ["3", "v1"]
    assert model.aliases == {"default": 1}
    with pytest.raises(ModelError, match="no version 'v2'"):
        model.delete_version("v2")
    assert registry.log_model(Doubler, model_name="m", version_name="v2").number == 4


def test_the_default_is_not_deleted(model: RegisteredModel) -> None:
    with pytest.raises(ModelError, match="'v1' is the default of model 'm': make another version the default first"):
        model.delete_version("v1")
    assert model.version("v1").number == 1


def test_a_model_has_a_comment(model: RegisteredModel) -> None:
    assert model.comment == ""
    model.comment = "churn of größe 1"
    assert model.comment == "churn of größe 1"


def test_a_model_whose_versions_are_gone_has_no_default(registry: Registry, model: RegisteredModel) -> None:
    model.delete()
    with pytest.raises(ModelError, match="'m'"):
        _ = model.default
    with pytest.raises(ModelError, match="'m'"):
        model.delete()
