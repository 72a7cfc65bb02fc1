from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from gristmill.errors import ModelError
from gristmill.models.example import example_of

XY = {"x": [1, 2], "y": ["a", "b"]}


@pytest.mark.parametrize(
    "rows",
    [
        XY,
        pa.table(XY),
        pa.record_batch(XY),
        pd.DataFrame(XY),
        pd.DataFrame(XY, index=["i", "j"]),
        pl.DataFrame(XY),
        [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}],
    ],
    ids=lambda rows: type(rows).__name__,
)
def test_rows_in_any_form(rows: Any) -> None:
    assert example_of(rows, prefix="p").to_pydict() == XY


@pytest.mark.parametrize(
    "values",
    [[1, 2], np.array([1, 2]), pa.array([1, 2]), pa.chunked_array([[1], [2]]), pd.Series([1, 2])],
    ids=lambda rows: type(rows).__name__,
)
def test_values_without_a_name(values: Any) -> None:
    assert example_of(values, prefix="p").to_pydict() == {"p_0": [1, 2]}


def test_series_keep_their_names() -> None:
    assert example_of(pd.Series([1], name="s"), prefix="p").column_names == ["s"]
    assert example_of(pl.Series("s", [1]), prefix="p").column_names == ["s"]


def test_arrays_are_columns_or_lists() -> None:
    assert example_of(np.zeros((1, 2)), prefix="p").to_pydict() == {"p_0": [0.0], "p_1": [0.0]}
    assert example_of(pd.DataFrame(np.zeros((1, 2))), prefix="p").column_names == ["p_0", "p_1"]
    assert example_of(np.zeros((1, 2, 1)), prefix="p").schema.field(0).type == pa.list_(pa.list_(pa.float64(), 1), 2)


@pytest.mark.parametrize("rows", [7, "text", b"bytes", {"x": [1], "y": [1, 2]}, [1, "a"]])
def test_what_holds_no_rows_is_refused(rows: Any) -> None:
    with pytest.raises(ModelError, match="cannot be read as rows"):
        example_of(rows, prefix="p")
