import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gristmill.errors import ModelError
from gristmill.models.custom import CustomModel, ModelContext, inference_api
from gristmill.models.objects import instance_of, load_object, object_kind, pickle_object, save_object
from gristmill.storage.storage import Storage


class Adder(CustomModel):
    def __init__(self, context: ModelContext) -> None:
        super().__init__(context)

    @inference_api
    def predict(self, df: Any) -> Any:
        return df + helper()


def helper() -> int:
    return 1


def over_frames(df: Any, *, n: int = 1) -> Any:
    return df


def test_models_are_recognised_by_what_they_are() -> None:
    assert object_kind(Adder) == "custom"
    assert object_kind(Adder(ModelContext())) == "custom"
    assert object_kind(make_pipeline(StandardScaler(), LogisticRegression())) == "estimator"
    assert object_kind(over_frames) == "function"
    assert object_kind(lambda df: df) == "function"


@pytest.mark.parametrize("value", [LogisticRegression, dict, 3, lambda: 1, lambda a, b: 1, "text", print])
def test_what_is_no_model_is_refused(value: object) -> None:
    with pytest.raises(ModelError, match="is no model"):
        object_kind(value)


def test_a_class_is_built_with_an_empty_context_where_it_needs_one() -> None:
    assert instance_of(Adder).context.models == {}

    class Needy:
        def __init__(self, path: str, size: int) -> None: ...

    with pytest.raises(ModelError, match=r"Needy needs arguments \(path, size\)"):
        instance_of(Needy)


def module(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text(text)


def test_a_module_gives_an_attribute_or_calls_a_function_without_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: Storage
) -> None:
    module(
        tmp_path,
        "given_module",
        "class A:\n    class B: value = 1\ndef make():\n    return [A.B.value]\ndef f(df): ...\n",
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert load_object("python", "given_module:A.B", storage).value == 1
    assert load_object("python", "given_module:make", storage) == [1]
    assert load_object("python", "given_module:f", storage).__name__ == "f"


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("nowhere_module:A", "the module 'nowhere_module' cannot be found here"),
        ("json.nowhere:A", "the module 'json.nowhere' cannot be found here"),
        ("json:nothing", "'json' has no attribute 'nothing'"),
        ("needs_module:A", "'needs_module' needs 'nowhere_package', which is not installed here"),
        ("broken_module:A", "importing 'broken_module' failed: ZeroDivisionError"),
    ],
)
def test_a_module_that_cannot_be_had_says_why(
    target: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: Storage
) -> None:
    module(tmp_path, "needs_module", "import nowhere_package\n")
    module(tmp_path, "broken_module", "1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError) as caught:
        load_object("python", target, storage)
    assert why in str(caught.value)
    assert f"python:{target}" in str(caught.value)


@pytest.mark.parametrize("compress", [0, 3])
def test_objects_saved_by_joblib_and_by_pickle_are_loaded(compress: int, tmp_path: Path, storage: Storage) -> None:
    value = {"weights": np.arange(1_000.0)}
    joblib.dump(value, tmp_path / "a.joblib", compress=compress)
    (tmp_path / "b.pkl").write_bytes(pickle.dumps(value))
    for name in ("a.joblib", "b.pkl"):
        assert np.array_equal(load_object("pickle", str(tmp_path / name), storage)["weights"], value["weights"])


def test_an_object_on_other_storage_is_loaded(storage: Storage) -> None:
    storage.write_bytes("memory:///models/m.pkl", pickle.dumps([1, 2]))
    assert load_object("pickle", "memory:///models/m.pkl", storage) == [1, 2]


def test_a_file_that_is_missing_or_no_pickle_is_refused(tmp_path: Path, storage: Storage) -> None:
    with pytest.raises(ModelError, match="there is no such file"):
        load_object("pickle", str(tmp_path / "none.pkl"), storage)
    for content in (b"", b"hello", pickle.dumps([1])[:-3]):
        (tmp_path / "bad.pkl").write_bytes(content)
        with pytest.raises(ModelError, match=r"bad\.pkl' cannot be loaded"):
            load_object("pickle", str(tmp_path / "bad.pkl"), storage)


def test_a_pickle_of_a_package_that_is_not_here_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: Storage
) -> None:
    module(tmp_path, "vanishing_module", "class A: ...\n")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        import vanishing_module

        (tmp_path / "a.pkl").write_bytes(pickle.dumps(vanishing_module.A()))
    (tmp_path / "vanishing_module.py").unlink()
    sys.modules.pop("vanishing_module")
    with pytest.raises(ModelError, match="needs the module 'vanishing_module', which is not installed here"):
        load_object("pickle", str(tmp_path / "a.pkl"), storage)


def test_a_saved_model_of_a_module_that_is_not_installed_runs_where_that_module_is_not(
    tmp_path: Path, storage: Storage
) -> None:
    reference = save_object(Adder(ModelContext()), storage, str(tmp_path / "job"))
    assert reference.startswith(f"pickle:{tmp_path}/job/model-")
    assert reference.endswith(".pkl")
    script = (
        "import pickle, sys; model = pickle.load(open(sys.argv[1], 'rb')); "
        "print(model.predict(41), type(model).__mro__[1].__module__)"
    )
    path = reference.removeprefix("pickle:")
    done = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.split() == ["42", "gristmill.models.custom"]


def test_saving_leaves_no_module_registered_with_the_pickler(tmp_path: Path, storage: Storage) -> None:
    import cloudpickle

    before = set(cloudpickle.list_registry_pickle_by_value())
    save_object(Adder, storage, str(tmp_path))
    assert cloudpickle.list_registry_pickle_by_value() == before


def test_an_object_that_cannot_be_pickled_says_so() -> None:
    class Holder(CustomModel):
        def __reduce__(self) -> str:
            raise RuntimeError("holds a socket")

    with pytest.raises(ModelError, match=r"Holder\) cannot be pickled: RuntimeError: holds a socket"):
        pickle_object(Holder())
