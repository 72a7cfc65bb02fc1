from pathlib import Path

import pytest

from gristmill.errors import SpecError
from gristmill.mlflow.address import registry_address
from gristmill.settings import Settings
from gristmill.spec.engine import EngineOptions
from gristmill.spec.registry import checked_registry, is_embedded, is_trusted


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("HTTP://MLflow.Lab:5000/", "http://mlflow.lab:5000"),
        ("https://mlflow.lab:443/team/", "https://mlflow.lab/team"),
        ("http://[::1]:5000", "http://[::1]:5000"),
        ("file:///srv/mlruns", "/srv/mlruns"),
        ("sqlite:////srv/a/../mlflow.db", "sqlite:////srv/mlflow.db"),
        ("postgresql://ann@db.lab/mlflow", "postgresql://ann@db.lab/mlflow"),
        ("databricks", "databricks"),
        ("databricks://profile", "databricks://profile"),
    ],
)
def test_an_address_has_one_spelling(given: str, expected: str) -> None:
    assert checked_registry(given) == expected
    assert checked_registry(expected) == expected


def test_paths_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert checked_registry("sqlite:///mlflow.db") == f"sqlite:///{tmp_path}/mlflow.db"
    assert checked_registry("./mlruns") == f"{tmp_path}/mlruns"


@pytest.mark.parametrize(
    "given",
    [
        "http://ann:hunter2@h",
        "http://ann@h",
        "postgresql://ann:hunter2@h/db",
        "mysql://h/db?password=hunter2",
        "mysql://h/db?charset=utf8&passwd=hunter2",
        "mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3Dhunter2",
    ],
)
def test_a_password_is_refused_everywhere_and_never_repeated(given: str) -> None:
    for refused in (
        lambda: Settings.load(registry=given),
        lambda: Settings.load(trusted_registries=[given]),
        lambda: EngineOptions.of({"registry": given}),
    ):
        with pytest.raises(SpecError, match="MLFLOW_TRACKING_PASSWORD") as error:
            refused()
        assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("given", ["", " ", "http://", "http://h?x=1", "sqlite://", "sqlite:///", "http://h:port"])
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r"is no address of a registry|names no file"):
        checked_registry(given)


@pytest.mark.parametrize("given", ["http://h/team/../other", "http://h/team/%2e%2E/other", "http://h/..\\other"])
def test_an_address_leads_nowhere_else(given: str) -> None:
    with pytest.raises(ValueError, match=r"holds '\.\.'"):
        checked_registry(given)


@pytest.mark.parametrize("folder", ["/srv/a?b", "/srv/a%41b"])
def test_a_folder_that_a_store_would_look_for_elsewhere_is_refused(folder: str) -> None:
    with pytest.raises(ValueError, match="SQLite's addresses cannot hold"):
        checked_registry(f"sqlite:///{folder}/mlflow.db")
    with pytest.raises(SpecError, match=r"settings\.home: .* name a registry in settings\.registry"):
        registry_address(Settings.load(home=folder))


def test_embedded_registries_are_those_on_a_disk() -> None:
    assert is_embedded("/srv/mlruns")
    assert is_embedded("sqlite:////srv/mlflow.db")
    assert not is_embedded("postgresql://db.lab/mlflow")


def test_trust_ends_at_the_boundary_of_a_name() -> None:
    assert is_trusted("http://anywhere", None)
    assert not is_trusted("http://anywhere", ())
    assert is_trusted("http://mlflow.lab", ["http://mlflow.lab"])
    assert is_trusted("sqlite:////srv/models/mlflow.db", ["sqlite:////srv"])
    assert not is_trusted("http://mlflow.lab.evil.org", ["http://mlflow.lab"])
    assert not is_trusted("http://mlflow.lab:5000", ["http://mlflow.lab"])


def test_the_variables_of_settings_give_the_registry_back(monkeypatch: pytest.MonkeyPatch) -> None:
    from gristmill.submission.warm import settings_variables

    mine = Settings.load(home="memory://h", registry="http://mlflow.lab:5000", trusted_registries=[])
    variables = settings_variables(mine, secrets=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = Settings.load()
    assert (found.registry, found.trusted_registries, found.model_cache) == ("http://mlflow.lab:5000", (), None)
    assert "GRISTMILL_MODEL_CACHE" not in variables
