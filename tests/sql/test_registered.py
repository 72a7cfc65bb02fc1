"""Registered models as functions of SQL."""

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression
from tests.model_registry import ModelRegistry

from gristmill import sql
from gristmill.errors import ModelError, SpecError
from gristmill.models.signature import Feature, Param, Signature
from gristmill.registry.registry import Registry
from gristmill.settings import Settings
from gristmill.sql.entry import Entry
from gristmill.sql.functions import put
from gristmill.sql.statement import opened, reported
from gristmill.storage.storage import Storage

ROWS = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [0.0, 1.0, 0.0, 1.0]})


def one(connection: Any, query: str) -> Any:
    ((value,),) = connection.sql(query).fetchall()
    return value


def test_versions_of_registered_models_are_functions(model_registry: ModelRegistry) -> None:
    registry = Registry(settings=model_registry.settings)
    for version, labels in (("v1", [0, 1, 0, 1]), ("v2", [10, 11, 10, 11])):
        model = LogisticRegression(C=1e6).fit(ROWS, np.array(labels))
        registry.log_model(model, model_name="Churn Model", version_name=version, sample_input_data=ROWS)
    with sql.connect(settings=model_registry.settings) as con:
        assert one(con, "SELECT churn_model(1, 1)") == 1
        assert one(con, "SELECT churn_model_predict_proba(1, 1).output_feature_1") > 0.5
        names = sql.register(
            con, settings=model_registry.settings, models=["Churn Model/v2", "models:/Churn Model@default"]
        )
        assert {"churn_model_v2", "churn_model_v2_predict", "churn_model_default_predict"} <= set(names)
        assert one(con, "SELECT churn_model_v2(1, 1)") == 11
        with pytest.raises(duckdb.BinderException, match=r"churn_model.*VARCHAR"):
            con.sql("SELECT churn_model(x, 1) FROM (SELECT 'one' AS x)")
        registry.get_model("Churn Model").default = "v2"
        assert one(con, "SELECT churn_model(1, 1)") == 1
        sql.register(con, settings=model_registry.settings)
        assert one(con, "SELECT churn_model(1, 1)") == 11
        with pytest.raises(ModelError, match="has no version 'v9'"):
            sql.register(con, settings=model_registry.settings, models=["Churn Model/v9"])


def test_where_nothing_was_registered_yet_no_store_is_made(settings: Settings) -> None:
    with sql.connect(settings=settings) as con:
        assert one(con, "SELECT 1") == 1
    assert not list(Path(settings.home).glob("registry/*"))


def test_a_name_that_could_be_two_says_so_however_it_is_called(settings: Settings) -> None:
    def entry(name: str, model: str, *params: str) -> Entry:
        inputs, outputs = (Feature("x", pa.int64()),), (Feature("y", pa.int64()),)
        signature = Signature(inputs, outputs, tuple(Param(name, pa.int64(), 1) for name in params))
        return Entry(name, model, signature, lambda: pytest.fail("it is called"), model, is_offered=True)

    with duckdb.connect() as con:
        entries = [entry("two", "one", "a0", "t"), entry("two", "other", "t"), entry("fine", "third")]
        assert put(con, entries, Storage(settings)) == ("fine",)
        for call in ("two()", "two(1)", "two(1, t := 2)", "two(1, a0 := 2, t := 3)", "two(1, 2)", "two(1, 2, 3, 4, 5)"):
            with pytest.raises(duckdb.Error, match="'two' could be a function of 'one' or of 'other'"):
                con.sql(f"SELECT {call}").fetchall()


def test_a_model_with_an_odd_name_hurts_only_the_query_that_calls_it(model_registry: ModelRegistry) -> None:
    settings = model_registry.settings
    registry = Registry(settings=settings)
    for name, labels in (
        ("churn", [0, 1, 0, 1]),
        ("Churn", [10, 11, 10, 11]),
        ("___", [0, 1, 0, 1]),
        ("fine", [2, 3, 2, 3]),
    ):
        model = LogisticRegression(C=1e6).fit(ROWS, np.array(labels))
        registry.log_model(model, model_name=name, version_name="v1", sample_input_data=ROWS)
    both = r"could be a function of 'models:/\w+/1' or of 'models:/\w+/1'; give another name: register_model\(con, "
    with sql.connect(settings=settings) as con:
        assert one(con, "SELECT fine(1, 1)") == 3
        with pytest.raises(
            duckdb.Error, match=f"'churn_predict' {both}'another_name', 'models:/.hurn/1'\\), or --model"
        ):
            con.sql("SELECT churn_predict(1, 1)").fetchall()
        with pytest.raises(duckdb.Error, match=f"'churn' {both}"):
            con.sql("SELECT churn(1, 1)").fetchall()
        with pytest.raises(
            duckdb.Error, match="'___' of the registry has no letter or digit.*--model another_name=models"
        ):
            con.sql("SELECT ___(1, 1)").fetchall()
        sql.register_model(con, "churn", "models:/Churn", settings=settings)
        assert one(con, "SELECT churn_predict(1, 1)") == 11
        with pytest.raises(SpecError, match=f"'churn_.*' {both}"):
            sql.register(con, settings=settings, models=["churn", "Churn"])
        with pytest.raises(SpecError, match="'___' of the registry has no letter or digit"):
            sql.register(con, settings=settings, models=["___"])
    query = "SELECT churn(1, 1) + fine(1, 1)"
    with opened(query, database=":memory:", models={"churn": "models:/Churn"}, settings=settings) as (con, _):
        assert one(con, query) == 14
    with (
        opened("SELECT churn(1, 1)", database=":memory:", models={}, settings=settings) as (con, text),
        pytest.raises(SpecError, match=f"'churn' {both}"),
        reported(text),
    ):
        con.sql(text).fetchall()
