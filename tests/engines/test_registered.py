from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.model_registry import estimator_folder, tiny_folder
from tests.tiny.models import model_folder

from gristmill.engines.protocol import LoadContext
from gristmill.engines.python import PythonEngine
from gristmill.errors import ModelError, SchemaError
from gristmill.mlflow.log import save_model
from gristmill.mlflow.stored import Told
from gristmill.models.custom import CustomModel, ModelContext, inference_api
from gristmill.models.signature import Feature, Param, Signature
from gristmill.storage.storage import Storage

ENGINE = PythonEngine()


def run(
    folder: Path,
    table: pa.Table,
    storage: Storage,
    *,
    function: str,
    params: Mapping[str, Any] | None = None,
) -> pa.RecordBatch:
    context = LoadContext(
        model=f"mlflow:{folder}", function=function, storage=storage, input_schema=table.schema, params=params or {}
    )
    model = ENGINE.load(context)
    try:
        return model.infer(table.combine_chunks().to_batches()[0])
    finally:
        model.close()


def functions(folder: Path, storage: Storage) -> dict[str, Any]:
    return dict(ENGINE.describe(f"mlflow:{folder}", {}, storage).functions)


def types(features: Any) -> dict[str, pa.DataType]:
    return {feature.name: feature.type for feature in features}


def test_an_estimator_of_plain_mlflow_has_its_functions_with_the_types_of_its_signature(
    tmp_path: Path, storage: Storage
) -> None:
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    from mlflow import sklearn

    rows = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [0, 0, 1, 1]})
    model = LogisticRegression().fit(rows, [0, 0, 1, 1])
    folder = tmp_path / "model"
    signature = infer_signature(rows, model.predict(rows))
    sklearn.save_model(model, str(folder), signature=signature, pip_requirements=["scikit-learn"])  # by skops
    known = functions(folder, storage)
    assert {"predict", "predict_proba", "decision_function"} <= known.keys()
    assert types(known["predict"].inputs) == {"a": pa.float64(), "b": pa.int64()}
    assert types(known["predict_proba"].inputs) == {"a": pa.float64(), "b": pa.int64()}
    assert types(known["predict"].outputs) == {"output_feature_0": pa.int64()}
    table = pa.table({"id": [7, 8], "B": pa.array([0, 1], pa.int8()), "a": [0.0, 3.0]})
    assert run(folder, table, storage, function="predict").to_pydict() == {"output_feature_0": [0, 1]}
    found = run(folder, table, storage, function="predict_proba").to_pydict()
    expected = model.predict_proba(pd.DataFrame({"a": [0.0, 3.0], "b": [0, 1]}))
    assert found == {f"output_feature_{place}": list(expected[:, place]) for place in range(2)}


def test_an_estimator_whose_pyfunc_is_another_function_has_that_as_its_default(
    tmp_path: Path, storage: Storage
) -> None:
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    from mlflow import sklearn

    rows = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0]})
    model = LogisticRegression().fit(rows, [0, 0, 1, 1])
    signature = infer_signature(rows, model.predict_proba(rows))
    sklearn.save_model(model, str(tmp_path / "m"), signature=signature, pyfunc_predict_fn="predict_proba")
    info = ENGINE.describe(f"mlflow:{tmp_path / 'm'}", {}, storage)
    assert info.default_function == "predict_proba"
    assert len(info.functions["predict"].outputs or ()) == 1
    table = pa.Table.from_pandas(rows)
    assert run(tmp_path / "m", table, storage, function="predict").num_columns == 1
    assert run(tmp_path / "m", table, storage, function="predict_proba").num_columns == 2


def test_an_estimator_is_given_the_columns_that_mlflow_calls_optional(tmp_path: Path, storage: Storage) -> None:
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    from mlflow import sklearn

    rows = pd.DataFrame({"city": ["a", None, "b", "a"], "n": [1.0, 2.0, 3.0, 4.0]})
    encoder = make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough")
    model = make_pipeline(encoder, LogisticRegression()).fit(rows, [0, 1, 0, 1])
    signature = infer_signature(rows, model.predict(rows))
    sklearn.save_model(model, str(tmp_path / "m"), signature=signature, serialization_format="cloudpickle")
    assert types(functions(tmp_path / "m", storage)["predict"].inputs) == {"city": pa.null(), "n": pa.float64()}
    found = run(tmp_path / "m", pa.Table.from_pandas(rows), storage, function="predict")
    assert found.column(0).to_pylist() == model.predict(rows).tolist()


def test_columns_that_the_signature_names_are_missed_by_name(tmp_path: Path, storage: Storage) -> None:
    folder = estimator_folder(tmp_path / "model")
    with pytest.raises(SchemaError, match="lacks 1 of the 2 columns that the model needs: b"):
        run(folder, pa.table({"a": [1.0]}), storage, function="predict")


def test_xgboost_classifiers_are_estimators_and_boosters_predict(tmp_path: Path, storage: Storage) -> None:
    import numpy as np
    import pandas as pd
    import xgboost

    from mlflow import xgboost as flavor

    rows, labels = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0]}), [0, 0, 1, 1]
    classifier = xgboost.XGBClassifier(n_estimators=3, min_child_weight=0).fit(rows, labels)
    flavor.save_model(classifier, str(tmp_path / "classifier"), pip_requirements=["xgboost"])
    table = pa.table({"a": [0.0, 3.0], "id": [1, 2]})
    assert {"predict", "predict_proba"} <= functions(tmp_path / "classifier", storage).keys()
    found = run(tmp_path / "classifier", table, storage, function="predict").to_pydict()
    assert found == {"output_feature_0": [0, 1]}

    booster = xgboost.train({"objective": "reg:squarederror"}, xgboost.DMatrix(rows, label=labels), 3)
    flavor.save_model(booster, str(tmp_path / "booster"), pip_requirements=["xgboost"])
    assert list(functions(tmp_path / "booster", storage)) == ["predict"]
    found = run(tmp_path / "booster", table.select(["a"]), storage, function="predict")
    np.testing.assert_array_equal(
        found.column(0).to_numpy(), booster.predict(xgboost.DMatrix(pd.DataFrame({"a": [0.0, 3.0]})))
    )


def test_a_torch_module_with_a_signature_of_arrays_takes_columns_or_a_column_of_lists(
    tmp_path: Path, storage: Storage
) -> None:
    import numpy as np
    import torch
    from mlflow.models import infer_signature

    from mlflow import pytorch

    module = torch.nn.Linear(2, 3)
    given = np.array([[0.0, 1.0], [2.0, 3.0]], dtype=np.float32)
    expected = module(torch.from_numpy(given)).detach().numpy()
    signature = infer_signature(given, expected)
    folder = tmp_path / "model"
    pytorch.save_model(
        module, str(folder), signature=signature, pip_requirements=["torch"], serialization_format="pickle"
    )
    outputs = functions(folder, storage)["predict"].outputs
    assert types(outputs) == {f"output_feature_{place}": pa.float32() for place in range(3)}
    by_columns = pa.table({"x": [0.0, 2.0], "y": pa.array([1, 3], pa.int32())})
    by_lists = pa.table({"id": ["a", "b"], "x": given.tolist()})
    for table in (by_columns, by_lists):
        found = run(folder, table, storage, function="predict")
        np.testing.assert_array_equal(np.column_stack([column.to_numpy() for column in found.columns]), expected)


def test_any_python_model_of_mlflow_runs_with_its_params_and_optional_columns(tmp_path: Path, storage: Storage) -> None:
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    class Scaled(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            shifted = model_input[["x"]].mul(params["factor"]).add(model_input.get("shift", 0), axis=0)
            return shifted.rename(columns={"x": "y"})

    folder = tmp_path / "model"
    signature = ModelSignature(
        Schema([ColSpec("long", "x"), ColSpec("long", "shift", required=False)]),
        Schema([ColSpec("double", "y")]),
        ParamSchema([ParamSpec("factor", "double", 2.0)]),
    )
    mlflow.pyfunc.save_model(str(folder), python_model=Scaled(), signature=signature, pip_requirements=["pandas"])
    known = functions(folder, storage)["predict"]
    assert types(known.inputs) == {"x": pa.int64()}
    (param,) = known.params
    assert (param.name, param.type, param.default) == ("factor", pa.float64(), 2.0)
    table = pa.table({"x": pa.array([1, 2], pa.int32())})
    assert run(folder, table, storage, function="predict", params={"factor": 0.5}).to_pydict() == {"y": [0.5, 1.0]}
    shifted = table.append_column("SHIFT", pa.array([10, 20]))
    assert run(folder, shifted, storage, function="predict", params={"factor": 0.5}).to_pydict() == {"y": [10.5, 21.0]}


def test_a_model_that_asks_for_packages_that_are_not_here_is_refused_with_their_names(
    tmp_path: Path, storage: Storage
) -> None:
    folder = tiny_folder(
        tmp_path / "model",
        {
            "MLmodel": "flavors: {python_function: {}}",
            "requirements.txt": "pyarrow\nno-such-a>=2\n\nno_such_b\n-c x.txt",
        },
    )
    with pytest.raises(ModelError, match=r"needs no-such-a>=2, no_such_b, .*pip install 'no-such-a>=2' 'no_such_b'"):
        functions(folder, storage)


def test_a_model_that_nothing_can_run_is_refused(tmp_path: Path, storage: Storage) -> None:
    with pytest.raises(ModelError, match="no flavor that can be run over rows"):
        functions(tiny_folder(tmp_path / "model"), storage)


def test_a_model_that_cannot_be_unpickled_says_what_is_missing(tmp_path: Path, storage: Storage) -> None:
    folder = estimator_folder(tmp_path / "model")
    (folder / "model.pkl").write_bytes(b"cno_such_module\nThing\n.")
    with pytest.raises(ModelError, match="needs the module 'no_such_module'"):
        run(folder, pa.table({"a": [1.0], "b": [1.0]}), storage, function="predict")


def test_a_custom_model_runs_by_the_signature_that_is_stored_with_it(tmp_path: Path, storage: Storage) -> None:
    words = tmp_path / "words.txt"
    words.write_text("a\nb\n")
    model = Counted(ModelContext(artifacts={"words": str(words)}))
    stored = Signature(
        (Feature("text", pa.string()),), (Feature("known", pa.int8()),), (Param("least", pa.int64(), 5),)
    )
    folder = tmp_path / "model"
    save_model(model, "custom", Told("custom", {"count": stored}, "count"), folder, storage=storage)
    words.unlink()
    assert functions(folder, storage) == {"count": stored}
    table = pa.table({"id": [1, 2], "TEXT": ["a b c", "x"]})
    found = run(folder, table, storage, function="count", params={"least": 1})
    assert found.to_pydict() == {"known": [2, 1]}
    assert found.schema.field("known").type == pa.int8()


class Counted(CustomModel):
    @inference_api
    def count(self, df, *, least: int = 0):
        words = set(Path(self.context.path("words")).read_text().split())
        return [max(least, len(words & set(text.split()))) for text in df["text"]]


def test_a_pipeline_of_transformers_and_a_sentence_transformer_run_as_such(tmp_path: Path, storage: Storage) -> None:
    from sentence_transformers import SentenceTransformer
    from transformers import pipeline

    from mlflow import sentence_transformers, transformers

    texts = ["one", "two words"]
    table = pa.table({"id": [1, 2], "text": texts})
    classify = pipeline("text-classification", model=str(model_folder("bert_classifier")), device="cpu")
    transformers.save_model(classify, str(tmp_path / "classifier"), pip_requirements=["transformers"])
    assert list(functions(tmp_path / "classifier", storage)) == ["__call__", "predict"]
    found = run(tmp_path / "classifier", table, storage, function="predict").to_pylist()
    assert found == [pytest.approx(answer) for answer in classify(texts)]

    embed = SentenceTransformer(str(model_folder("bert")), device="cpu")
    sentence_transformers.save_model(embed, str(tmp_path / "bert"), pip_requirements=["sentence-transformers"])
    known = functions(tmp_path / "bert", storage)
    assert types(known["encode"].outputs) == {"output_feature_0": pa.list_(pa.float32())}
    found = run(tmp_path / "bert", table, storage, function="encode").column(0).to_pylist()
    assert found == [pytest.approx(embedding) for embedding in embed.encode(texts).tolist()]
