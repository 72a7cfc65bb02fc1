"""Registered models as functions of SQL."""

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from tests.model_registry import ModelRegistry

from gristmill import sql
from gristmill.errors import ModelError
from gristmill.registry.registry import Registry
from gristmill.settings import Settings

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
