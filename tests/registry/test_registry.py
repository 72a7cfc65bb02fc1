from pathlib import Path
from typing import Any

import pytest
from tests.model_registry import ModelRegistry, estimator_folder
from tests.registry.conftest import Doubler

from gristmill import model_signature as core
from gristmill.errors import AccessError, ModelError, SpecError
from gristmill.models.custom import CustomModel, ModelContext, inference_api
from gristmill.registry.registry import Registry


class Odd(CustomModel):
    """Holds what no pickle can."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = (row for row in ())

    @inference_api
    def predict(self, df: Any) -> Any:
        return df


class Fed(CustomModel):
    """Needs more than a context, so that no class of it can be built."""

    def __init__(self, food: str) -> None:
        super().__init__()
        self.food = food

    @inference_api
    def predict(self, df: Any) -> Any:
        return df


class Plain:
    """Is built without arguments, and is no `CustomModel`."""

    def __init__(self) -> None:
        self.added = 1.0

    @inference_api(inputs={"a": "double"}, outputs={"sum": "double"})
    def plus(self, rows: Any) -> Any:
        return {"sum": [value + self.added for value in rows["a"]]}


class Contextual(Plain):
    """Needs a context."""

    def __init__(self, context: ModelContext) -> None:
        super().__init__()
        self.added += len(context.models)


def test_a_model_that_was_logged_is_found(registry: Registry) -> None:
    version = registry.log_model(
        Doubler(), model_name="Größe 1", version_name="v1", comment="first", metrics={"auc": 0.9, "n": 3}
    )
    assert repr(version) == "ModelVersion(models:/Größe 1/1 (v1))"
    again = registry.get_model("Größe 1").version("v1")
    assert (again.reference, again.comment, again.metrics) == ("models:/Größe 1/1", "first", {"auc": 0.9, "n": 3})
    assert (again.digest, again.aliases) == (version.digest, ("default",))
    assert again.functions() == version.functions()
    assert list(again.functions()) == ["predict", "count"]
    assert again.default_function is None


@pytest.mark.parametrize("model", [Plain, Contextual, f"python:{__name__}:Contextual", Contextual(ModelContext())])
def test_a_class_runs_as_an_object_of_it_does(registry: Registry, model: Any) -> None:
    version = registry.log_model(model, model_name="m", sample_input_data=[{"a": 1.0}])
    assert version.run([{"a": 1.5}], function_name="plus")[0]["sum"] == 2.5


def test_models_are_listed_by_name(registry: Registry) -> None:
    assert registry.models() == []
    assert registry.show_models().collect() == []
    for name, version in (("b", "v1"), ("a", None), ("b", "v2")):
        registry.log_model(Doubler(), model_name=name, version_name=version)
    registry.get_model("b").set_alias("champion", "v2")
    assert [model.name for model in registry.models()] == ["a", "b"]
    rows = registry.show_models().collect()
    assert [(row["name"], row["default_version_name"], row["versions"], row["aliases"]) for row in rows] == [
        ("a", "1", ["1"], ["default=1"]),
        ("b", "v1", ["v2", "v1"], ["champion=v2", "default=v1"]),
    ]
    assert rows[0]["created_on"].tzinfo is not None


def test_a_model_of_plain_mlflow_is_there_as_it_is(
    registry: Registry, model_registry: ModelRegistry, tmp_path: Path
) -> None:
    model_registry.register("plain", estimator_folder(tmp_path / "m"), with_digest=False)
    version = registry.get_model("plain").default
    assert (version.version_name, version.number, version.digest) == ("1", 1, None)
    assert [feature.name for feature in version.functions()["predict"].inputs or ()] == ["a", "b"]
    assert registry.show_models().collect()[0]["default_version_name"] == "1"


def test_a_model_of_plain_mlflow_is_found_by_a_name_that_none_is_given_here(
    registry: Registry, model_registry: ModelRegistry, tmp_path: Path
) -> None:
    model_registry.register("it's", estimator_folder(tmp_path / "m"), with_digest=False)
    assert registry.get_model("it's").default.number == 1
    registry.delete_model("it's")
    assert registry.models() == []


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"model_name": "a/b"}, "model_name: 'a/b' holds '/'"),
        ({"version_name": "3"}, "version_name: '3' is a number"),
        ({"model": Odd()}, "Odd.* cannot be pickled"),
        ({"model": object()}, "is no model: give a class or an object with"),
        ({"model": Doubler(ModelContext(artifacts={"w": "/nowhere/w.txt"}))}, "artifact 'w': there is no file"),
        ({"model": "models:/m/1"}, "is registered already"),
        ({"model": "echo:chat"}, "names an engine's own"),
        ({"model": "python:nowhere:Model"}, "'nowhere' cannot be found"),
        ({"signatures": {"predict": core.ModelSignature()}}, "the signature is empty"),
        ({"signatures": {"nix": None}}, "no such function"),
        ({"sample_input_data": []}, "sample_input_data: give at least one row"),
        ({"pip_requirements": "pillow"}, "pip_requirements: give a list"),
        ({"pip_requirements": 5}, "pip_requirements: give a list"),
        ({"pip_requirements": ["pillow", "not a req ==="]}, "pip_requirements: 'not a req ===' is nothing that pip"),
        ({"model": Fed}, r"the class Fed needs arguments \(food\)"),
        ({"pip_requirements": ["x @ git+https://me:token@host/x"]}, "pip_requirements: an address holds"),
        ({"pip_requirements": ["-r requirements.txt"]}, "no single requirement"),
        ({"options": {"python_version": "3.11"}}, "options.python_version: has no meaning here"),
        ({"conda_dependencies": ["x"]}, "conda_dependencies: has no meaning here"),
        ({"comment": 3}, "comment: give a text"),
        ({"metrics": {"auc": float("nan")}}, "metrics.auc: must be a finite number"),
        ({"metrics": {"auc": 10**400}}, "metrics.auc: must be a finite number"),
        ({"metrics": [1]}, "metrics: give a dict"),
    ],
)
def test_what_cannot_be_logged_leaves_nothing(registry: Registry, given: dict[str, Any], problem: str) -> None:
    how = {"model": Doubler(), "model_name": "m"} | given
    with pytest.raises(SpecError, match=problem):
        registry.log_model(how.pop("model"), **how)
    assert registry.models() == []


def test_a_versions_name_that_is_taken_is_refused(registry: Registry) -> None:
    registry.log_model(Doubler(), model_name="m", version_name="v1")
    with pytest.raises(ModelError, match="version 'v1' of model 'm' exists already"):
        registry.log_model(Doubler(), model_name="m", version_name="v1")
    assert len(registry.get_model("m").versions()) == 1


def test_a_model_that_is_not_there_is_refused_with_those_there_are(registry: Registry) -> None:
    with pytest.raises(ModelError, match="has no model 'nix'; it has: none"):
        registry.get_model("nix")
    registry.log_model(Doubler(), model_name="m")
    for ask in (registry.get_model, registry.delete_model):
        with pytest.raises(ModelError, match="has no model 'nix'; it has: m"):
            ask("nix")


def test_a_deleted_model_is_gone_with_its_versions(registry: Registry) -> None:
    model = registry.log_model(Doubler(), model_name="m", version_name="v1")
    registry.delete_model("m")
    assert registry.models() == []
    with pytest.raises(ModelError, match="models:/m/1"):
        model.run([{"a": 1.0}], function_name="predict")
    assert registry.log_model(Doubler(), model_name="m", version_name="v1").number == 1


def test_a_registry_that_is_not_trusted_is_refused(model_registry: ModelRegistry) -> None:
    settings = model_registry.settings.model_copy(update={"trusted_registries": ("http://models.lab",)})
    with pytest.raises(AccessError, match="trusted_registries"):
        Registry(settings=settings)
    assert Registry("http://models.lab/team", settings=settings).uri == "http://models.lab/team"
    with pytest.raises(SpecError, match="must hold no password"):
        Registry("http://me:secret@models.lab", settings=settings)
