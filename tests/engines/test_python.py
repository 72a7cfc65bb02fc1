from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression

from gristmill.engines.python import PythonEngine
from gristmill.errors import ModelError
from gristmill.models.custom import CustomModel, ModelContext, inference_api
from gristmill.models.objects import save_object
from gristmill.storage.storage import Storage

X = np.arange(20.0).reshape(10, 2)
Y = (X[:, 0] > 9).astype(int)
BATCH = pa.RecordBatch.from_pydict({"a": X[:, 0], "b": X[:, 1]})

MODULE = """
import pyarrow as pa
from gristmill import errors
from gristmill.models.custom import inference_api

built = 0

class Model:
    def __init__(self):
        global built
        built += 1
    @inference_api(outputs={"total": "double"})
    def add(self, batch: pa.RecordBatch):
        import pyarrow.compute as pc
        return {"total": pc.add(batch.column("a"), batch.column("b"))}

instance = Model()

def make():
    return Model()

def over_frames(table: pa.Table, *, times: int = 1):
    return table.select(["a"])

number = 3
"""


class Scorer(CustomModel):
    @inference_api
    def score(self, df: Any) -> Any:
        return self.context.model_ref("inner").predict(df.to_numpy())


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"python_models_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return name


@pytest.mark.parametrize("attribute", ["Model", "instance", "make"])
def test_a_class_an_instance_and_a_factory_are_the_same_model(
    attribute: str, module: str, storage: Storage, context: Any
) -> None:
    model = f"python:{module}:{attribute}"
    info = PythonEngine().describe(model, {}, storage)
    assert info.default_function == "add"
    assert info.functions["add"].output_schema() == pa.schema([("total", pa.float64())])
    loaded = PythonEngine().load(context(BATCH, model=model, function="add"))
    assert loaded.infer(BATCH).to_pydict() == {"total": (X[:, 0] + X[:, 1]).tolist()}
    loaded.close()


def test_a_class_is_described_without_being_built(module: str, storage: Storage) -> None:
    import importlib

    PythonEngine().describe(f"python:{module}:Model", {}, storage)
    assert importlib.import_module(module).built == 1  # the instance of the module itself


def test_a_function_over_frames_is_a_model(module: str, storage: Storage, context: Any) -> None:
    model = f"python:{module}:over_frames"
    info = PythonEngine().describe(model, {}, storage)
    assert info.default_function == "over_frames"
    assert [param.name for param in info.functions["over_frames"].params] == ["times"]
    assert PythonEngine().load(context(BATCH, model=model, function="over_frames")).infer(BATCH).num_rows == 10


@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: Scorer(ModelContext(models={"inner": value}))])
def test_a_saved_object_is_described_and_run(wrap: Any, tmp_path: Path, storage: Storage, context: Any) -> None:
    estimator = LogisticRegression().fit(X, Y)
    model = save_object(wrap(estimator), storage, str(tmp_path / "job"))
    info = PythonEngine().describe(model, {}, storage)
    assert info.default_function in ("predict", "score")
    output = PythonEngine().load(context(BATCH, model=model, function=info.default_function)).infer(BATCH)
    assert output.to_pydict() == {"output_feature_0": estimator.predict(X).tolist()}


def test_what_is_no_model_is_refused_with_its_reference(module: str, storage: Storage) -> None:
    with pytest.raises(ModelError, match=rf"'python:{module}:number': an object of builtins.int is no model"):
        PythonEngine().describe(f"python:{module}:number", {}, storage)


def test_a_module_that_is_not_here_is_said_to_be_missing(storage: Storage) -> None:
    with pytest.raises(ModelError, match="the module 'nowhere_module' cannot be found here"):
        PythonEngine().describe("python:nowhere_module:Model", {}, storage)


def test_another_engines_reference_is_refused(storage: Storage) -> None:
    with pytest.raises(ModelError, match="runs python:, pickle:, hf:, mlflow: models, not echo:"):
        PythonEngine().describe("echo:", {}, storage)
