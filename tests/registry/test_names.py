import pytest

from gristmill.errors import SpecError
from gristmill.registry.names import check_alias, check_model_name, check_version_name


@pytest.mark.parametrize("name", ["churn", "Kündigung 2", "a.b-c_d", "模型", "v1"])
def test_names_that_references_can_hold(name: str) -> None:
    assert check_model_name(name) == check_version_name(name) == name


@pytest.mark.parametrize("name", ["", "  ", None, 7, "a/b", "a:b", "a@b", "it's", 'a"b', "a\nb", " a", "a ", "x" * 201])
def test_names_that_references_cannot_hold_are_refused(name: object) -> None:
    with pytest.raises(SpecError, match="model_name: "):
        check_model_name(name)


@pytest.mark.parametrize("name", ["3", "latest", "Production", "none"])
def test_names_of_versions_that_mean_something_else_are_refused(name: str) -> None:
    with pytest.raises(SpecError, match=f"version_name: '{name}'"):
        check_version_name(name)


@pytest.mark.parametrize("alias", ["v1", "V22", "latest", "7", "größe", "a b", ""])
def test_aliases_that_mlflow_does_not_take_are_refused(alias: str) -> None:
    with pytest.raises(SpecError, match="alias: "):
        check_alias(alias)


def test_a_word_is_an_alias() -> None:
    assert check_alias("champion-2") == "champion-2"
