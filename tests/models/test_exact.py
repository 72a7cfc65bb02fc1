import datetime as dt
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gristmill.models.exact import exact_array, exact_cast

MOMENT = dt.datetime.fromisoformat("2024-01-02T03:04:05.678901")
DAY = dt.datetime.fromisoformat("2024-01-02")
GROUP = pa.struct([("a", pa.int64()), ("b", pa.string())])


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (7.5, pa.int64()),
        (np.float32(7.5), pa.int64()),
        (Decimal("7.5"), pa.int64()),
        (Fraction(15, 2), pa.int64()),
        ([7, 7.5], pa.list_(pa.int64())),
        (np.array([7.5]), pa.list_(pa.int32())),
        ([[7.5]], pa.list_(pa.list_(pa.int64()))),
        ({"a": 7.5, "b": "x"}, GROUP),
        ((7.5, "x"), GROUP),
        ([("a", 7.5), ("b", "x")], GROUP),
        ([{"a": 7.5, "b": "x"}], pa.list_(GROUP)),
        ({"k": 7.5}, pa.map_(pa.string(), pa.int64())),
        ([("k", 7.5)], pa.map_(pa.string(), pa.int64())),
        (7.5, pa.dictionary(pa.int8(), pa.int64())),
        (MOMENT, pa.date32()),
        (MOMENT, pa.date64()),
        (MOMENT, pa.timestamp("s")),
        (MOMENT, pa.timestamp("ms")),
        (pd.Timestamp("2024-01-02 03:04:05.000000001"), pa.timestamp("us")),
        (MOMENT.time(), pa.time32("s")),
        (dt.timedelta(microseconds=1), pa.duration("ms")),
        (7.5, pa.timestamp("s")),
        ([{"key": "k", "value": 7.5}], pa.map_(pa.string(), pa.int64())),
    ],
)
@pytest.mark.parametrize("others", [[], [None]])
def test_what_arrow_would_cut_is_refused(value: Any, kind: pa.DataType, others: list[None]) -> None:
    with pytest.raises(ValueError, match=r"the output 'y(\.a)?' holds .* would be cut"):
        exact_array([*others, value], kind, what="y")


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, None, np.int32(2)], pa.int64()),
        ([7.0, 2**53 + 1], pa.int64()),
        ([1, Decimal(2), Fraction(3, 1)], pa.int64()),
        ([2**63, 1], pa.uint64()),
        ([1, 2], pa.float32()),
        ([[7.0], None, []], pa.list_(pa.int64())),
        ([[1, 2], [3, 4]], pa.list_(pa.int64(), 2)),
        ([{"a": 1, "b": "x"}, None, {"a": None, "b": "x"}], GROUP),
        ([{"k": 7}, None], pa.map_(pa.string(), pa.int64())),
        ([DAY, dt.date(2024, 1, 1), None], pa.date32()),
        ([DAY, None], pa.timestamp("s")),
        ([MOMENT, None], pa.timestamp("us")),
        ([5, None], pa.timestamp("s")),
        ([], pa.int64()),
        ([None], GROUP),
        ([b"x", "y"], pa.binary()),
        ([None], pa.month_day_nano_interval()),
        ([np.datetime64("2024-01-02", "ns"), None], pa.timestamp("ns")),
        ([[np.datetime64("2024-01-02", "ns")]], pa.list_(pa.timestamp("ns"))),
        ([[{"key": "k", "value": 7}]], pa.map_(pa.string(), pa.int64())),
        ([pa.scalar([("k", 7)], pa.map_(pa.string(), pa.int64()))], pa.map_(pa.string(), pa.int64())),
        ([{b"a": 1, b"b": "x"}], GROUP),
        ([{"a": 1, "b": "x", "c": None}], GROUP),
        ([np.array([7]), np.array([], int), None], pa.list_(pa.int64())),
        ([np.array(["2024-01-02"], "M8[s]")], pa.list_(pa.timestamp("s"))),
    ],
)
def test_what_fits_is_what_arrow_makes_of_it(values: list[Any], kind: pa.DataType) -> None:
    assert exact_array(values, kind, what="y").equals(pa.array(values, kind))


def test_nulls_of_pandas_are_none_that_would_be_cut() -> None:
    series = pd.Series([7.0, np.nan, None], dtype=object)
    assert exact_array(series, pa.int64(), what="y", from_pandas=True).to_pylist() == [7, None, None]
    moments = pd.Series([pd.NaT, MOMENT], dtype=object)
    assert exact_array(moments, pa.timestamp("us"), what="y", from_pandas=True).to_pylist() == [None, MOMENT]


def test_no_moment_is_null_and_not_the_year_1() -> None:
    assert exact_array([pd.NaT, DAY], pa.date32(), what="y").to_pylist() == [None, DAY.date()]
    assert exact_array([[pd.NaT]], pa.list_(pa.date32()), what="y").to_pylist() == [[None]]


def test_moments_of_numpy_in_another_unit_are_refused_as_items() -> None:
    with pytest.raises(ValueError, match=r"lists of timestamp\[s\]: an array of datetime64\[ns\] is no such list"):
        exact_array([np.array(["2024-01-02"], "M8[ns]")], pa.list_(pa.timestamp("s")), what="y")


def test_text_is_no_number() -> None:
    with pytest.raises(pa.ArrowInvalid, match="tried to convert to int64"):
        exact_array(["7"], pa.int64(), what="y")


OTHERS = [{"A": 1, "bb": "q"}, {"a": 1, "bb": "q"}, {"a": 1, "b": "q", "c": 2}]


@pytest.mark.parametrize("value", OTHERS)
def test_other_fields_than_declared_are_refused(value: dict[str, Any]) -> None:
    for values, kind in (([value, None], GROUP), ([[value], []], pa.list_(GROUP))):
        with pytest.raises(ValueError, match=r"returned the fields .* in 'y'; it has the fields a, b"):
            exact_array(values, kind, what="y")


def test_a_field_that_values_lack_is_null() -> None:
    found = exact_array([{"a": 1}, {"b": "x"}, None, {}], GROUP, what="y").to_pylist()
    assert found == [{"a": 1, "b": None}, {"a": None, "b": "x"}, None, {"a": None, "b": None}]
    assert exact_cast(pa.array([{"a": 1}]), GROUP, what="y").to_pylist() == [{"a": 1, "b": None}]


@pytest.mark.parametrize("value", OTHERS)
def test_columns_of_other_fields_are_refused_too(value: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"returned the fields .* in 'y'; it has the fields a, b"):
        exact_cast(pa.array([value]), GROUP, what="y")
    with pytest.raises(ValueError, match="it has the fields a, b"):
        exact_cast(pa.array([[value]]), pa.list_(GROUP), what="y")


@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: [value], lambda value: {"a": value}])
def test_a_column_of_moments_becomes_days_where_it_holds_days(wrap: Any) -> None:
    days = {"int": pa.date32(), "list": pa.list_(pa.date32()), "dict": pa.struct([("a", pa.date32())])}
    kind = days.get(type(wrap(0)).__name__)
    assert exact_cast(pa.array([wrap(DAY), None]), kind, what="y").to_pylist() == [wrap(DAY.date()), None]
    with pytest.raises(ValueError, match="2024-01-02 03:04:05.678901 would be cut"):
        exact_cast(pa.array([wrap(DAY), wrap(MOMENT)]), kind, what="y")


def test_the_day_of_a_moment_is_that_of_its_zone() -> None:
    midnights = pa.array(
        [dt.datetime(2023, 11, 5, 4, tzinfo=dt.UTC)], pa.timestamp("us", "America/Havana")
    )  # the first
    assert exact_cast(midnights, pa.date32(), what="y").to_pylist() == [dt.date(2023, 11, 5)]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([MOMENT]).dictionary_encode(),
        pa.chunked_array([pa.array([DAY]), pa.array([MOMENT])]),
        pa.array([[("k", MOMENT)]], pa.map_(pa.string(), pa.timestamp("us"))),
    ],
)
def test_hours_are_cut_nowhere(column: Any) -> None:
    kind = pa.map_(pa.string(), pa.date32()) if pa.types.is_map(column.type) else pa.date32()
    with pytest.raises(ValueError, match="would be cut"):
        exact_cast(column, kind, what="y")


def test_maps_of_days_are_cast_whatever_stands_beside_them() -> None:
    maps = pa.array([[("k", MOMENT)], [("k", DAY)], None, []], pa.map_(pa.string(), pa.timestamp("us"))).slice(1)
    found = exact_cast(maps, pa.map_(pa.string(), pa.date32()), what="y")
    assert found.to_pylist() == [[("k", DAY.date())], None, []]


def test_a_moment_is_no_time_of_day() -> None:
    with pytest.raises(ValueError, match="would be cut"):
        exact_cast(pa.array([None, MOMENT]), pa.time64("us"), what="y")
