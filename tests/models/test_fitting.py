"""Which columns a function can be given, and what is said of the others."""

import decimal

import pyarrow as pa
import pytest

from gristmill.inputs.fit import fit_column
from gristmill.models.fitting import fits, misfits
from gristmill.models.signature import Feature

FITTING = [
    (pa.array([1, None], pa.int32()), pa.int64()),
    (pa.array([1], pa.int64()), pa.float64()),
    (pa.array([1], pa.int64()), pa.int32()),
    (pa.array([1.0]), pa.int64()),
    (pa.array([1.5]), pa.float32()),
    (pa.array([True]), pa.int64()),
    (pa.array([decimal.Decimal("1.5")]), pa.float64()),
    (pa.array(["a"], pa.large_string()), pa.string()),
    (pa.array(["a"], pa.string_view()), pa.string()),
    (pa.array(["a", "a"]).dictionary_encode(), pa.string()),
    (pa.array([b"a"]), pa.large_binary()),
    (pa.array([b"a"], pa.binary(1)), pa.binary()),
    (pa.array([[0.5, 1.5], None]), pa.list_(pa.float32(), 2)),
    (pa.array([[1, 2]], pa.list_(pa.int64(), 2)), pa.list_(pa.float64())),
    (pa.array([[1, 2]], pa.large_list(pa.int64())), pa.list_(pa.int32())),
    (pa.array([{"a": 1, "b": "x"}]), pa.struct({"b": pa.large_string(), "a": pa.float64()})),
    (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())), pa.map_(pa.string(), pa.float64())),
    (pa.array([0], pa.date32()), pa.timestamp("us")),
    (pa.array([0], pa.timestamp("us")), pa.timestamp("ns")),
    (pa.array([0], pa.time32("s")), pa.time64("us")),
    (pa.array([0], pa.duration("s")), pa.duration("us")),
    (pa.nulls(2), pa.list_(pa.int64(), 3)),
]

MISFITS = [
    (pa.string(), pa.int64()),
    (pa.int64(), pa.string()),
    (pa.string(), pa.binary()),
    (pa.binary(), pa.string()),
    (pa.int64(), pa.bool_()),
    (pa.int64(), pa.timestamp("us")),
    (pa.time64("us"), pa.timestamp("us")),
    (pa.int64(), pa.list_(pa.int64())),
    (pa.list_(pa.string()), pa.list_(pa.int64())),
    (pa.list_(pa.int64(), 3), pa.list_(pa.int64(), 2)),
    (pa.struct({"a": pa.int64()}), pa.struct({"a": pa.int64(), "b": pa.int64()})),
    (pa.string(), pa.struct({"a": pa.int64()})),
    (pa.map_(pa.string(), pa.string()), pa.map_(pa.string(), pa.int64())),
]


@pytest.mark.parametrize(("column", "wanted"), FITTING, ids=lambda one: str(getattr(one, "type", one)))
def test_a_type_that_fits_is_one_that_the_column_is_cast_to(column: pa.Array, wanted: pa.DataType) -> None:
    assert fits(column.type, wanted)
    cast = fit_column(column, wanted)
    assert (cast.type, len(cast), cast.null_count) == (wanted, len(column), column.null_count)


@pytest.mark.parametrize(("given", "wanted"), MISFITS, ids=str)
def test_a_type_that_means_something_else_does_not_fit(given: pa.DataType, wanted: pa.DataType) -> None:
    assert not fits(given, wanted)


def test_any_type_takes_and_is_taken() -> None:
    assert fits(pa.string(), pa.null())
    assert fits(pa.list_(pa.null()), pa.list_(pa.string()))


def test_every_mismatch_is_told() -> None:
    inputs = [Feature(name, pa.int64()) for name in ("age", "Size", "price", "id")]
    schema = pa.schema({"AGE": pa.string(), "size": pa.int32(), "ID": pa.int64(), "Id": pa.int64()})
    missing, wrong = misfits(inputs, schema)
    assert missing == ["price"]
    assert wrong == [
        "the column 'AGE' holds string where it takes int64",
        "its input 'id' could be any of 'ID', 'Id', rename all but one",
    ]


def test_the_same_spelling_is_not_ambiguous() -> None:
    schema = pa.schema({"ID": pa.string(), "id": pa.int64()})
    assert misfits([Feature("id", pa.int64())], schema) == ([], [])


def test_text_where_content_is_wanted_points_to_file_columns() -> None:
    _, (wrong,) = misfits([Feature("image", pa.binary())], pa.schema({"image": pa.string()}))
    assert "input_spec.column_handling" in wrong
