from pathlib import Path

import pytest

from gristmill.engines.registry import engine_for, installed_engines, load_engine
from gristmill.errors import ModelError, SpecError
from gristmill.spec.engine import EngineOptions


def install(folder: Path, name: str, entry: str, code: str) -> None:
    """A distribution with one entry point, as pip would leave it."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[gristmill.engines]\n{entry}\n")
    (folder / f"{name}.py").write_text(code)


OTHER = """
class Engine:
    name = "other"
    option_names = frozenset({"volume"})
    def handles(self, model): return model.startswith("other:")
    def describe(self, model, options, storage): ...
    def load(self, context): ...
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_the_engine_follows_from_the_model() -> None:
    for model in ("python:a:b", "pickle:/a.pkl", "hf:org/name"):
        assert engine_for(model, EngineOptions()).name == "python_generic"
    assert engine_for("echo:row", EngineOptions()).name == "echo"


def test_an_engine_that_is_named_is_taken() -> None:
    assert engine_for("python:a:b", EngineOptions.of({"engine": "Echo"})).name == "echo"


def test_a_model_that_no_engine_runs_is_refused() -> None:
    with pytest.raises(
        ModelError, match=r"'models:/a/1' is not one that an installed engine runs \(echo, openai, python_generic, vllm"
    ):
        engine_for("models:/a/1", EngineOptions())


def test_an_engine_that_is_not_installed_is_refused_with_the_way_out() -> None:
    with pytest.raises(
        ModelError, match=r"engine: 'tgi' is not installed here; install what brings it.*echo, openai, python_generic"
    ):
        load_engine("tgi")


def test_an_option_that_the_engine_does_not_know_is_refused_with_those_it_does() -> None:
    with pytest.raises(SpecError, match=r"inference_engine_options\.tusk: .*python_generic.*batch_size, column, task"):
        engine_for("hf:org/name", EngineOptions.of({"tusk": "chat"}))
    with pytest.raises(SpecError, match=r"inference_engine_options\.engine_args_override"):
        engine_for("python:a:b", EngineOptions.of({"engine_args_override": ["--max-model-len=1"]}))


def test_another_distributions_engine_is_found(folder: Path) -> None:
    install(folder, "other_engine", "other = other_engine:Engine", OTHER)
    assert set(installed_engines()) >= {"echo", "other", "python_generic"}
    assert engine_for("other:x", EngineOptions.of({"volume": 11})).name == "other"
    assert engine_for("x:y", EngineOptions.of({"engine": "OTHER"})).name == "other"


def test_another_distribution_cannot_take_the_name_of_an_engine(folder: Path) -> None:
    install(folder, "taking_engine", "echo = taking_engine:Engine", OTHER)
    assert type(load_engine("echo")).__module__ == "gristmill.engines.echo"


@pytest.mark.parametrize(
    ("entry", "code", "why"),
    [
        ("broken = broken_engine_a:Engine", "1 / 0", "ZeroDivisionError"),
        ("broken = broken_engine_b:Engine", "", "AttributeError"),
        ("broken = broken_engine_c:Engine", "import nowhere_package", "nowhere_package"),
        ("broken = broken_engine_d:dict", "dict = dict", "is no engine: it has no name"),
    ],
)
def test_a_broken_engine_is_named_and_harms_only_those_who_ask_for_it(
    entry: str, code: str, why: str, folder: Path
) -> None:
    name = entry.split(" = ")[1].split(":")[0]
    install(folder, name, entry, code)
    with pytest.raises(ModelError) as caught:
        engine_for("python:a:b", EngineOptions.of({"engine": "broken"}))
    assert f"the engine 'broken' ({entry.split(' = ')[1]} of {name})" in str(caught.value)
    assert why in str(caught.value)
    assert engine_for("python:a:b", EngineOptions()).name == "python_generic"
    with pytest.raises(ModelError, match="the engine 'broken'"):
        engine_for("unknown:x", EngineOptions())
