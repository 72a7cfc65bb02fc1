"""A model over rows in place: what goes in, what comes out, what is refused."""

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression

import gristmill
from gristmill.errors import FailedRowsError, ModelError, SchemaError, SpecError
from gristmill.settings import Settings
from tests.inplace.models import Shop

NAMES = ["a", "b", "c"]


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    values = np.random.default_rng(1).random((500, len(NAMES)))
    return pa.table({"id": pa.array(range(500)), **{name: values[:, at] for at, name in enumerate(NAMES)}})


@pytest.fixture(scope="module")
def estimator(rows: pa.Table) -> Any:
    features = rows.select(NAMES).to_pandas()
    return LogisticRegression().fit(features, features.sum(axis=1) > 1.5)


def same(given: Any, settings: Settings) -> Any:
    return gristmill.run("echo:", given, inference_engine_options={"column": "id"}, settings=settings)


def test_the_columns_and_values_are_those_of_a_job(rows: pa.Table, estimator: Any, settings: Settings) -> None:
    job = gristmill.run_batch(
        estimator,
        rows,
        compute_pool="inline",
        output_spec=gristmill.OutputSpec(location="memory://in-place/job", mode="overwrite"),
        job_spec=gristmill.JobSpec(function_name="predict_proba", block=True),
        settings=settings.model_copy(update={"home": "memory://in-place/home"}),
    )
    assert job.status.value == "DONE", job.message
    written = gristmill.read_output("memory://in-place/job", settings=settings)
    found = gristmill.run(estimator, rows, function_name="predict_proba", settings=settings)
    assert found.schema.remove_metadata().equals(written.schema.remove_metadata())
    assert found.equals(written)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda table: table, pa.Table),
        (lambda table: table.to_batches()[0], pa.Table),
        (lambda table: table.to_reader(), pa.RecordBatchReader),
        (ds.dataset, pa.RecordBatchReader),
        (lambda table: table.to_pandas(), pd.DataFrame),
        (pl.from_arrow, pl.DataFrame),
        (lambda table: pl.from_arrow(table).lazy(), pl.DataFrame),
        (duckdb.from_arrow, duckdb.DuckDBPyRelation),
        (lambda table: table.to_pylist(), list),
    ],
    ids=["table", "batch", "reader", "dataset", "pandas", "polars", "lazy", "relation", "dicts"],
)
def test_what_comes_back_is_what_came_in(make: Any, kind: type, rows: pa.Table, settings: Settings) -> None:
    found = same(make(rows), settings)
    assert isinstance(found, kind)
    table = pa.Table.from_pylist(found) if isinstance(found, list) else pa.table(found)
    assert table.column_names == ["id", *NAMES, "echo"]
    assert table["echo"].to_pylist() == rows["id"].to_pylist()


def test_tables_of_the_connection_are_not_taken_for_the_answers(settings: Settings) -> None:
    with duckdb.connect() as con:
        for name in ("found", "given", "answers", "relation"):
            con.execute(f"CREATE TABLE {name} AS SELECT 99 AS other")
        con.execute("CREATE TABLE numbers AS SELECT 1 AS x")
        assert gristmill.run("echo:", con.sql("FROM numbers"), settings=settings).fetchall() == [(1, '{"x": 1}')]


def test_a_query_and_a_listing_are_inputs(settings: Settings) -> None:
    Path("one.txt").write_text("12345")
    sizes = gristmill.run(
        "python:tests.inplace.models:Sizes",
        gristmill.list_files(".", r".*\.txt", "image", settings=settings),
        column_handling={"IMAGE": {"input_format": "full_stage_path", "convert_to": "raw_bytes"}},
        settings=settings,
    )
    assert sizes["size"].to_pylist() == [5]
    found = same(gristmill.query("SELECT range AS id FROM range(3)", settings=settings), settings)
    assert found.read_all()["echo"].to_pylist() == [0, 1, 2]


def test_a_reader_is_run_as_it_is_read(settings: Settings) -> None:
    taken = []

    def batches() -> Any:
        for at in range(50):
            taken.append(at)
            yield pa.record_batch({"id": pa.array(range(at * 40_000, (at + 1) * 40_000), pa.int64())})

    reader = pa.RecordBatchReader.from_batches(pa.schema({"id": pa.int64()}), batches())
    found = same(reader, settings)
    first = found.read_next_batch()
    assert first["echo"][0].as_py() == 0
    assert len(taken) < 10
    assert first.num_rows + sum(batch.num_rows for batch in found) == 2_000_000


def test_a_pandas_frame_keeps_its_index_and_its_own_columns(settings: Settings) -> None:
    frame = pd.DataFrame({"id": pd.Categorical(["x", "y"]), 3: [1, 2]}, index=[10, 20])
    found = gristmill.run("echo:", frame, settings=settings)
    assert found.index.tolist() == [10, 20]
    assert found["id"].dtype == frame["id"].dtype
    assert list(found.columns) == ["id", "3", "echo"]
    assert list(frame.columns) == ["id", 3]


def test_no_rows_have_all_columns(rows: pa.Table, estimator: Any, settings: Settings) -> None:
    for empty in (rows.slice(0, 0), rows.slice(0, 0).to_pandas(), pl.from_arrow(rows.slice(0, 0))):
        found = pa.table(gristmill.run(estimator, empty, settings=settings))
        assert found.column_names == ["id", *NAMES, "output_feature_0"]
        assert found.num_rows == 0


def test_params_are_checked_and_reach_the_function(settings: Settings) -> None:
    table = pa.table({"PRICE": [4], "name": ["pen"]})
    found = gristmill.run(Shop(), table, function_name="predict", params={"Rate": 1}, settings=settings)
    assert found.to_pylist() == [{"PRICE": 4, "name": "pen", "gross": 8.0, "label": "pen/x"}]
    with pytest.raises(SpecError, match="takes: rate, tags"):
        gristmill.run(Shop(), table, function_name="predict", params={"ratio": 1}, settings=settings)


def test_what_cannot_be_is_refused_before_a_row_is_run(settings: Settings) -> None:
    shop = "python:tests.inplace.models:Shop"
    with pytest.raises(ModelError, match="name one of: halve, predict"):
        gristmill.run(shop, pa.table({"price": [1.0]}), settings=settings)
    with pytest.raises(SchemaError, match="needs the input column"):
        gristmill.run(shop, pa.table({"x": [1.0]}), function_name="halve", settings=settings)
    with pytest.raises(SchemaError, match="named like the input column 'half'"):
        gristmill.run(shop, pa.table({"price": [1.0], "half": [2.0]}), function_name="halve", settings=settings)
    with pytest.raises(SpecError, match="give rows, not text"):
        gristmill.run(shop, "rows.parquet", function_name="halve", settings=settings)
    with pytest.raises(SpecError, match="takes no partitions"):
        gristmill.run(
            shop, pa.table({"price": [1.0]}), function_name="halve", partition_column="price", settings=settings
        )
    with pytest.raises(SpecError, match="on_error"):
        gristmill.run("echo:", pa.table({"x": [1]}), on_error="ignore", settings=settings)


@pytest.mark.parametrize("model", ["echo:", "echo:row"])
def test_a_row_that_fails_is_named_or_recorded(model: str, settings: Settings) -> None:
    table = pa.table({"id": pa.array(range(1000))})
    bad = {"column": "id", "fail_on": 700}
    with pytest.raises(FailedRowsError, match=r"row 700: ValueError: fail_on: 700"):
        gristmill.run(model, table, inference_engine_options=bad, settings=settings)
    found = gristmill.run(model, table, inference_engine_options=bad, on_error="record", settings=settings)
    assert found["_error"].null_count == 999
    assert found["_error"][700]["type"].as_py() == "ValueError"
    assert found["echo"][699].as_py() is not None
    assert found["echo"][700].as_py() is None


def test_chats_run_in_place(settings: Settings) -> None:
    found = gristmill.run("echo:chat", pa.table({"prompt": ["hello", "again"]}), settings=settings)
    assert [choices[0]["message"]["content"] for choices in found["choices"].to_pylist()] == ["hello", "again"]
    assert found.column_names == ["prompt", "id", "object", "created", "model", "choices", "usage"]


def test_partitions_are_whole_calls(settings: Settings) -> None:
    table = pa.table({"Shop": ["b", "a", "b", None], "price": [1.0, 2.0, 3.0, 4.0]})
    shop = Shop()
    totals = gristmill.run(shop, table, function_name="total", partition_column="shop", settings=settings)
    assert totals.to_pydict() == {"Shop": ["a", "b", None], "total": [2.0, 4.0, 4.0]}
    assert gristmill.run(shop, table, function_name="total", settings=settings).to_pydict() == {"total": [10.0]}
    shares = gristmill.run(shop, table.to_pandas(), function_name="share", partition_column="Shop", settings=settings)
    assert shares["share"].tolist() == [1.0, 0.25, 0.75, 1.0]
    spoiled = pa.table({"Shop": ["b", "a"], "price": [-1.0, 2.0]})
    with pytest.raises(FailedRowsError, match="the partition b: ValueError: a price below zero"):
        gristmill.run(shop, spoiled, function_name="total", partition_column="Shop", settings=settings)


def test_a_model_is_loaded_once_until_it_is_released(settings: Settings) -> None:
    gristmill.release_models()
    Shop.built = 0
    for price in (1.0, 2.0):
        gristmill.run(
            "python:tests.inplace.models:Shop", pa.table({"price": [price]}), function_name="halve", settings=settings
        )
    assert Shop.built == 1
    assert gristmill.release_models() == 1
    assert gristmill.release_models() == 0


def test_a_pickled_model_that_was_replaced_is_loaded_anew(rows: pa.Table, settings: Settings) -> None:
    import joblib

    features = rows.select(NAMES).to_pandas()
    found = []
    for label in ("old", "new!"):
        joblib.dump(LogisticRegression().fit(features, [label] * 499 + ["other"]), "model.joblib")
        found.append(gristmill.run("model.joblib", rows, settings=settings)["output_feature_0"][0].as_py())
    assert found == ["old", "new!"]


def test_files_of_parquet_stream_through_a_dataset(settings: Settings) -> None:
    pq.write_table(pa.table({"id": range(10)}), "x.parquet")
    assert same(ds.dataset("x.parquet"), settings).read_all()["echo"].to_pylist() == list(range(10))
