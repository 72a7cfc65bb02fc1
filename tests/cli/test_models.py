from pathlib import Path

import pytest
from tests.cli.conftest import Cli


@pytest.fixture
def home(cli: Cli, registry_template: Path) -> Cli:
    """A home with an empty registry: making its tables takes seconds."""
    folder = Path(cli.env["GRISTMILL_HOME"]) / "registry"
    folder.mkdir(parents=True)
    (folder / "mlflow.db").write_bytes(registry_template.read_bytes())
    return cli


def test_models_are_logged_listed_shown_and_deleted_and_the_rest_is_refused(home: Cli) -> None:
    log = ("models", "log", "python:models:Doubler", "--name", "größe")
    done = (
        ("models", "list"),
        (*log, "--version-name", "v1", "--comment", "the first", "--pip", "pillow"),
        (*log, "--default", "--json"),
        ("models", "list"),
        ("models", "list", "--json"),
        ("models", "show", "größe"),
        ("models", "show", "größe", "v1"),
        ("models", "show", "größe", "default", "--json"),
        ("models", "delete", "größe", "--version", "v1", "--version", "1"),
        ("models", "show", "größe", "--json"),
        ("models", "delete", "größe", "--json"),
        ("models", "list", "--json"),
    )
    refused = {
        ("models", "show", "nix", "--json"): "has no model 'nix'",
        ("models", "log", "echo:chat", "--name", "m"): "an engine's own",
        ("models", "log", "python:models:Doubler", "--name", "a/b"): "model_name: 'a/b'",
        (*log, "--task", "fill-mask"): "--task: is for models",
        ("models", "list", "--registry", "http://me:secret@lab"): "no password",
    }
    # all in one process: each would load MLflow anew; like the command, it looks for modules where it is told to only
    ends = home.each(*done, *refused, PYTHONSAFEPATH="1")
    none, first, second, table, listed, versions, shown, default, less, rest, deleted, nothing = ends[: len(done)]
    assert [end.code for end in ends] == [0] * len(done) + [2] * len(refused)
    assert "There are no models yet" in none.err
    assert first.out.split() == ["models:/größe/1", "v1"]
    assert (second.json["reference"], second.json["version_name"]) == ("models:/größe/2", "2")
    assert table.out.splitlines()[2].split() == ["größe", "2", "2,", "v1"]
    assert listed.json[0]["versions"] == ["2", "v1"]
    assert [line.split()[:2] for line in versions.out.splitlines()[2:]] == [["2", "2"], ["v1", "1"]]
    assert "the first" in shown.out
    assert [line.split() for line in shown.out.splitlines()[-3:]] == [
        ["inputs", "x:", "int64"],
        ["outputs", "twice:", "int64"],
        ["params", "times:", "int64", "=", "2"],
    ]
    assert default.json["functions"][0]["outputs"] == "twice: int64"
    assert less.out.strip() == "größe: 1 version deleted"
    assert [version["name"] for version in rest.json["versions"]] == ["2"]
    assert deleted.json == ["models:/größe/2"]
    assert nothing.json == []
    failed = ends[len(done) :]
    assert failed[0].json["error"]["type"] == "ModelError"
    assert [problem for problem, end in zip(refused.values(), failed, strict=True) if problem not in end.err] == []
    assert "secret" not in failed[-1].err
