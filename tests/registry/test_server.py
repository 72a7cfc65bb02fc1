"""A tracking server in a process of its own, over HTTP."""

from pathlib import Path

import pytest
from tests.model_registry import ModelRegistry
from tests.registry.conftest import ROWS, Doubler

from gristmill.errors import ModelError
from gristmill.models.custom import ModelContext
from gristmill.registry.registry import Registry


def test_a_model_is_logged_at_a_server_and_runs_from_there(
    mlflow_server: str, model_registry: ModelRegistry, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = sorted(Path.cwd().iterdir())
    (tmp_path / "words.txt").write_text("hello")
    registry = Registry(mlflow_server, settings=model_registry.settings)
    model = Doubler(ModelContext(artifacts={"words": str(tmp_path / "words.txt")}))
    options = {"default_function": "predict"}
    version = registry.log_model(model, model_name="größe 1", version_name="v1", options=options, comment="first")
    assert (version.reference, version.aliases) == ("models:/größe 1/1", ("default",))
    assert list(version.functions()) == ["predict", "count"]
    assert list(version.run(ROWS)["twice"]) == [2.0, 4.0, 6.0, 8.0]  # though it is not the settings' registry
    with pytest.raises(ModelError, match="version 'v1' of model 'größe 1' exists already"):
        registry.log_model(model, model_name="größe 1", version_name="v1")
    found = registry.get_model("größe 1")
    registry.log_model(model, model_name="größe 1", version_name="v2")
    found.default = "v2"
    found.delete_version("v1")
    assert found.show_versions().collect()[0]["name"] == "v2"
    with pytest.raises(ModelError, match="has no model 'nix'"):
        registry.get_model("nix")
    registry.delete_model("größe 1")
    assert "größe 1" not in [model.name for model in registry.models()]  # others' models may be at the server
    assert capfd.readouterr().err == ""
    assert sorted(Path.cwd().iterdir()) == before
