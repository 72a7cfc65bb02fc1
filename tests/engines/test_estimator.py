import warnings
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_info

from gristmill.engines.estimator import EstimatorModel, describe_estimator
from gristmill.errors import SchemaError

rng = np.random.default_rng(0)
X = rng.normal(size=(200, 3))
Y = (X.sum(axis=1) > 0).astype(int)
NAMED = pd.DataFrame(X, columns=["age", "income", "debt"])


def batch_of(array: Any, names: list[str], **more: Any) -> pa.RecordBatch:
    columns = {name: array[:, place] for place, name in enumerate(names)}
    return pa.RecordBatch.from_pydict({**more, **columns})


def test_functions_are_those_that_the_estimator_has() -> None:
    info = describe_estimator(LogisticRegression().fit(X, Y))
    assert list(info.functions) == ["predict", "predict_proba", "predict_log_proba", "decision_function"]
    assert (info.default_function, info.uses_gpu) == ("predict", False)
    assert describe_estimator(PCA(2).fit(X)).default_function == "transform"
    assert "sklearn.linear_model._logistic" in info.preload


@pytest.mark.parametrize(
    ("labels", "kind"),
    [(Y, pa.int64()), (Y.astype(bool), pa.bool_()), (np.where(Y, "yes", "no"), pa.string())],
)
def test_outputs_are_known_before_running(labels: Any, kind: pa.DataType, context: Any) -> None:
    model = LogisticRegression().fit(X, labels)
    functions = describe_estimator(model).functions
    assert functions["predict"].output_schema() == pa.schema([("output_feature_0", kind)])
    proba = functions["predict_proba"].output_schema()
    assert proba == pa.schema([("output_feature_0", pa.float64()), ("output_feature_1", pa.float64())])
    batch = batch_of(X, ["a", "b", "c"])
    for name, signature in functions.items():
        output = EstimatorModel(model, context(batch, function=name)).infer(batch)
        assert output.schema == signature.output_schema()


@pytest.mark.parametrize(
    "model", [LogisticRegression(), RandomForestClassifier(5), LinearRegression(), KMeans(2, n_init=1)]
)
def test_predictions_are_the_estimators_own(model: Any, context: Any) -> None:
    model.fit(X, Y)
    batch = batch_of(X, ["a", "b", "c"])
    output = EstimatorModel(model, context(batch)).infer(batch)
    assert np.allclose(output.column(0).to_numpy(), model.predict(X), rtol=1e-12)


def test_named_columns_are_found_in_any_case_and_order_without_a_warning(context: Any) -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(NAMED, Y)
    batch = batch_of(X[:, [2, 0, 1]], ["DEBT", "Age", "income"], id=np.arange(200), note=["x"] * 200)
    loaded = EstimatorModel(model, context(batch))
    with warnings.catch_warnings(record=True) as said:
        output = loaded.infer(batch)
    assert said == []
    assert np.array_equal(output.column(0).to_numpy(), model.predict(NAMED))
    assert [feature.name for feature in describe_estimator(model).functions["predict"].inputs or ()] == list(NAMED)


def test_missing_columns_are_named_when_the_model_is_loaded(context: Any) -> None:
    model = LogisticRegression().fit(NAMED, Y)
    with pytest.raises(SchemaError, match=r"lacks 2 of the 3 columns .* income, debt"):
        EstimatorModel(model, context(batch_of(X, ["age", "a", "b"])))


def test_without_names_the_numeric_columns_are_taken_when_their_number_fits(context: Any) -> None:
    model = LogisticRegression().fit(X, Y)
    batch = batch_of(X, ["a", "b", "c"], name=["x"] * 200)
    assert np.array_equal(EstimatorModel(model, context(batch)).infer(batch).column(0).to_numpy(), model.predict(X))
    wider = batch_of(X, ["a", "b", "c"], id=np.arange(200))
    with pytest.raises(SchemaError, match=r"needs 3 numeric columns; the input has 4 numeric columns \(id, a, b, c\)"):
        EstimatorModel(model, context(wider))


def test_nulls_reach_the_estimator_as_nan(context: Any) -> None:
    model = HistGradientBoostingRegressor(max_iter=5).fit(np.where(X > 1, np.nan, X), Y)
    holes = pa.array([None if value > 1 else value for value in X[:, 0]])
    whole = pa.array(range(200))
    batch = pa.RecordBatch.from_arrays([holes, pa.array([None, *[1] * 199]), whole], names=["a", "b", "c"])
    seen = np.column_stack([np.where(X[:, 0] > 1, np.nan, X[:, 0]), [np.nan, *[1] * 199], range(200)])
    output = EstimatorModel(model, context(batch)).infer(batch)
    assert np.array_equal(output.column(0).to_numpy(), model.predict(seen))
    strict = EstimatorModel(LogisticRegression().fit(X, Y), context(batch))
    with pytest.raises(ValueError, match="NaN"):
        strict.infer(batch)


@pytest.mark.parametrize("kind", [pa.float32(), pa.float16(), pa.int8(), pa.uint16(), pa.decimal128(12, 2), pa.bool_()])
@pytest.mark.parametrize("holes", [False, True])
def test_every_numeric_type_is_a_number(kind: pa.DataType, holes: bool, context: Any) -> None:
    model = HistGradientBoostingRegressor(max_iter=3).fit(X[:, :1], Y)
    column = pa.array([None if holes else 0, 1, 0, 1], pa.int8()).cast(pa.int32())
    column = column.cast(pa.float32()).cast(kind) if pa.types.is_floating(kind) else column.cast(kind)
    batch = pa.RecordBatch.from_arrays([column], names=["a"])
    expected = model.predict(np.array([[np.nan if holes else 0.0], [1.0], [0.0], [1.0]]))
    assert np.allclose(EstimatorModel(model, context(batch)).infer(batch).column(0).to_numpy(), expected)


def test_dictionaries_of_numbers_are_numbers(context: Any) -> None:
    model = LinearRegression().fit(X[:, :1], Y)
    batch = pa.RecordBatch.from_arrays([pa.array([1.0, 2.0, 1.0]).dictionary_encode()], names=["a"])
    output = EstimatorModel(model, context(batch)).infer(batch)
    assert np.allclose(output.column(0).to_numpy(), model.predict([[1.0], [2.0], [1.0]]))


def test_batches_of_any_size_and_slices_of_them_are_right(context: Any) -> None:
    model = LogisticRegression().fit(X, Y)
    batch = batch_of(X, ["a", "b", "c"])
    loaded = EstimatorModel(model, context(batch))
    kept = [loaded.infer(batch.slice(start, length)) for start, length in ((0, 150), (150, 50), (3, 1), (0, 200))]
    for output, (start, length) in zip(kept, ((0, 150), (150, 50), (3, 1), (0, 200)), strict=True):
        assert np.array_equal(output.column(0).to_numpy(), model.predict(X[start : start + length]))


def test_a_result_that_is_its_input_is_not_overwritten_by_the_next_batch(context: Any) -> None:
    for model in (StandardScaler(with_mean=False, with_std=False, copy=False), make_pipeline("passthrough")):
        batch = batch_of(X, ["a", "b", "c"])
        model.fit(X)
        loaded = EstimatorModel(model, context(batch, function="transform"))
        first = loaded.infer(batch.slice(0, 100))
        loaded.infer(batch.slice(100))
        assert np.array_equal(first.column(1).to_numpy(), X[:100, 1])


def test_an_estimator_that_picks_columns_by_name_is_given_a_frame(context: Any) -> None:
    frame = NAMED.assign(city=["Rome", "Oslo"] * 100)
    encode = make_column_transformer((OneHotEncoder(), ["city"]), ("passthrough", ["age", "debt"]))
    model = make_pipeline(encode, LogisticRegression()).fit(frame, Y)
    batch = pa.RecordBatch.from_pandas(frame.rename(columns=str.upper), preserve_index=False)
    output = EstimatorModel(model, context(batch)).infer(batch)
    assert np.array_equal(output.column(0).to_numpy(), model.predict(frame))
    signature = describe_estimator(model).functions["predict"]
    assert [feature.name for feature in signature.inputs or ()] == ["age", "income", "debt", "city"]


def lengths(images: Any) -> Any:
    return np.array([[len(image)] for image in images], dtype=float)


def test_an_estimator_over_bytes_is_given_the_one_column_of_bytes(context: Any) -> None:
    contents = [b"x" * size for size in range(1, 41)]
    target = np.arange(40) > 20
    model = make_pipeline(FunctionTransformer(lengths), LogisticRegression()).fit(contents, target)
    batch = pa.RecordBatch.from_pydict({"id": range(40), "image": contents, "path": ["p"] * 40})
    output = EstimatorModel(model, context(batch)).infer(batch)
    assert output.column(0).to_pylist() == model.predict(contents).tolist()
    assert describe_estimator(model).functions["predict"].output_schema() == pa.schema(
        [("output_feature_0", pa.bool_())]
    )


def test_an_estimator_over_text_is_given_the_one_column_of_text(context: Any) -> None:
    texts = ["good day", "bad day", "good", "bad"]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [1, 0, 1, 0])
    batch = pa.RecordBatch.from_pydict({"text": texts, "id": [1, 2, 3, 4]})
    assert EstimatorModel(model, context(batch)).infer(batch).column(0).to_pylist() == [1, 0, 1, 0]


def test_sparse_and_framed_results_become_columns(context: Any) -> None:
    codes = np.array([[0], [1], [2], [1]])
    batch = pa.RecordBatch.from_pydict({"c": [0, 1, 2, 1]})
    sparse = OneHotEncoder().fit(codes)
    output = EstimatorModel(sparse, context(batch, function="transform")).infer(batch)
    assert output.to_pylist()[2] == {"output_feature_0": 0.0, "output_feature_1": 0.0, "output_feature_2": 1.0}
    framed = OneHotEncoder(sparse_output=False).set_output(transform="pandas").fit(codes)
    assert EstimatorModel(framed, context(batch, function="transform")).infer(batch).schema.names == [
        "x0_0",
        "x0_1",
        "x0_2",
    ]


def test_threads_are_limited_while_the_model_is_loaded_and_given_back(context: Any) -> None:
    batch = batch_of(X, ["a", "b", "c"])

    def blas() -> set[int]:
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    before = blas()
    loaded = EstimatorModel(LogisticRegression().fit(X, Y), context(batch, threads=1))
    loaded.infer(batch)
    assert blas() == {1}
    loaded.close()
    assert blas() == before
