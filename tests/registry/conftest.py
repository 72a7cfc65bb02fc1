"""What the tests of the registry share: a registry of the test's own, and small models."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from tests.model_registry import ModelRegistry

from gristmill.models.custom import CustomModel, inference_api
from gristmill.registry.registry import Registry

ROWS = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [0.0, 1.0, 0.0, 1.0]})


class Doubler(CustomModel):
    """Two functions, one with a param."""

    @inference_api(inputs={"a": "double"}, outputs={"twice": "double"})
    def predict(self, df: pd.DataFrame, *, times: float = 2.0) -> Any:
        return df["a"] * times

    @inference_api(outputs={"n": "int64"})
    def count(self, table: pa.Table) -> Any:
        return [table.num_rows] * table.num_rows


@pytest.fixture
def registry(model_registry: ModelRegistry) -> Registry:
    """An empty registry of the test's own."""
    return Registry(settings=model_registry.settings)


@pytest.fixture(scope="session")
def classifier() -> Any:
    """A fitted estimator of two columns."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(ROWS, np.array([0, 1, 0, 1]))
