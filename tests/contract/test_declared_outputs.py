"""What a method returns is what it declares, or its rows fail: in place and in a job, whatever form it returns."""

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import gristmill
from gristmill import inference_api
from gristmill.settings import Settings
from tests.contract.conftest import Bench

ROWS = pa.table({"id": range(4)})


class Halves:
    """The second half of the ids has a half more than its integer may have."""

    @inference_api(outputs={"y": "int64"})
    def columns(self, df: pd.DataFrame) -> Any:
        return {"y": self._values(df)}

    @inference_api(outputs={"y": "int64"})
    def rows(self, df: pd.DataFrame) -> Any:
        return [{"y": value} for value in self._values(df)]

    @inference_api(outputs={"y": "int64"})
    def values(self, df: pd.DataFrame) -> Any:
        return self._values(df)

    @inference_api(outputs={"y": "int64"})
    def frame(self, df: pd.DataFrame) -> Any:
        return pd.DataFrame({"y": self._values(df)})

    @staticmethod
    def _values(df: pd.DataFrame) -> list[float]:
        return [number + 0.5 if number > 1 else float(number) for number in df["id"]]


class Groups:
    """A struct, of the declared fields or of others."""

    @inference_api(outputs={"y": {"a": "int64", "b": "string"}})
    def rows(self, df: pd.DataFrame) -> Any:
        return [{"y": {"a": number, "b": "q"} if number else None} for number in df["id"]]

    @inference_api(outputs={"y": {"a": "int64", "b": "string"}})
    def others(self, df: pd.DataFrame, *, form: str = "columns") -> Any:
        values = [{"A": number, "bb": "q"} for number in df["id"]]
        forms = {"columns": {"y": values}, "values": values, "frame": pd.DataFrame({"y": values})}
        return forms[form] if form in forms else pa.record_batch({"y": pa.array(values)})


@pytest.mark.parametrize("function", ["columns", "rows", "values", "frame"])
def test_a_float_is_cut_in_no_form(function: str, tmp_path: Any, settings: Settings) -> None:
    bench = Bench(tmp_path, settings, "inline")
    job = bench.run(ROWS, model=Halves(), job={"function_name": function, "on_error": "record"})
    assert [row["y"] for row in bench.rows()] == [0, 1, None, None]
    assert [(error["row"], error["step"]) for error in job.errors()] == [(2, "infer"), (3, "infer")]
    assert ["2.5" in error["message"] or "3.5" in error["message"] for error in job.errors()] == [True, True]


@pytest.mark.parametrize("form", ["columns", "values", "frame", "arrow"])
def test_a_struct_of_other_fields_is_an_error_and_no_nulls(form: str, settings: Settings) -> None:
    with pytest.raises(gristmill.errors.FailedRowsError, match="the fields A, bb in 'y'; it has the fields a, b"):
        gristmill.run(Groups(), ROWS, function_name="others", params={"form": form}, settings=settings)


def test_rows_of_one_struct_are_rows(settings: Settings) -> None:
    found = gristmill.run(Groups(), ROWS, function_name="rows", settings=settings)
    assert found["y"].to_pylist() == [None, *({"a": number, "b": "q"} for number in range(1, 4))]
