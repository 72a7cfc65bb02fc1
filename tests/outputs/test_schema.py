"""The output's columns: names that cannot collide, types that come back."""

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

from gristmill.errors import SchemaError
from gristmill.outputs.part import PartWriter
from gristmill.outputs.schema import error_array, fit, output_schema, schema_digest
from gristmill.spec.row_error import RowError
from gristmill.storage.storage import Storage

COLUMNS = {
    "null": pa.nulls(2),
    "bool": pa.array([True, None]),
    "half": pa.array([1.0, None], pa.float16()),
    "unsigned": pa.array([2**63, None], pa.uint64()),
    "decimal": pa.array([Decimal("1.20"), None], pa.decimal128(12, 2)),
    "wide decimal": pa.array([Decimal("1.20"), None], pa.decimal256(50, 2)),
    "zoned": pa.array([dt.datetime(2024, 3, 31, 1, tzinfo=dt.UTC), None], pa.timestamp("us", "Europe/Paris")),
    "nanoseconds": pa.array([1, None], pa.timestamp("ns")),
    "date": pa.array([dt.date(2024, 2, 29), None]),
    "time": pa.array([dt.time(12, 30), None], pa.time64("us")),
    "duration": pa.array([dt.timedelta(seconds=1), None]),
    "dictionary": pa.array(["a", None]).dictionary_encode(),
    "ordered": pa.DictionaryArray.from_arrays(pa.array([0, None], pa.int8()), pa.array(["x", "y"]), ordered=True),
    "view": pa.array(["a", None], pa.string_view()),
    "bytes view": pa.array([b"a", None], pa.binary_view()),
    "large": pa.array(["a", None], pa.large_string()),
    "fixed": pa.array([b"ab", None], pa.binary(2)),
    "list": pa.array([[1, None], None]),
    "list of dictionary": pa.ListArray.from_arrays([0, 1, 2], pa.array(["a", "b"]).dictionary_encode()),
    "list view": pa.array([[1], None], pa.list_view(pa.int32())),
    "struct": pa.array([{"a": 1, "b": ["x"]}, None]),
    "map": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
    "uuid": pa.array([b"0123456789abcdef", None], pa.uuid()),
    "dots.in.name": pa.array([1.5, None]),
}

CHANGED = {
    "seconds": (pa.array([1, None], pa.timestamp("s", "UTC")), pa.timestamp("ms", "UTC")),
    "time in seconds": (pa.array([1, None], pa.time32("s")), pa.time32("ms")),
    "date in milliseconds": (pa.array([86_400_000, None], pa.date64()), pa.date32()),
    "dictionary of numbers": (pa.array([5, None]).dictionary_encode(), pa.int64()),
    "fixed list": (pa.array([[1, 2], None], pa.list_(pa.float32(), 2)), pa.list_(pa.float32())),
    "nested": (
        pa.array([{"a": [[1, 2]]}, None], pa.struct({"a": pa.list_(pa.list_(pa.int8(), 2))})),
        pa.struct({"a": pa.list_(pa.list_(pa.int8()))}),
    ),
}


def _there_and_back(storage: Storage, folder: object, column: pa.Array) -> tuple[pa.Field, pa.Table]:
    import pyarrow.parquet as pq

    schema = output_schema(pa.schema([pa.field("c", column.type)]), pa.schema([]), record_errors=False)
    with PartWriter(storage, f"{folder}/part.parquet", schema) as part:
        part.write(pa.record_batch({"c": column}))
        location = part.close().location
    return schema.field("c"), pq.read_table(location)


@pytest.mark.parametrize("name", COLUMNS)
def test_input_columns_come_back_as_they_were(storage: Storage, tmp_path: object, name: str) -> None:
    field, table = _there_and_back(storage, tmp_path, COLUMNS[name])
    assert field.type == COLUMNS[name].type
    assert table.schema.field("c").type == COLUMNS[name].type
    assert table["c"].to_pylist() == COLUMNS[name].to_pylist()


@pytest.mark.parametrize("name", CHANGED)
def test_types_that_parquet_does_not_give_back_are_named_as_what_it_gives(
    storage: Storage, tmp_path: object, name: str
) -> None:
    column, expected = CHANGED[name]
    field, table = _there_and_back(storage, tmp_path, column)
    assert field.type == expected
    assert table.schema.field("c").type == expected
    assert table["c"].to_pylist() == column.cast(expected).to_pylist()


RUNS = pa.list_(pa.run_end_encoded(pa.int32(), pa.int8()))
UNSTORABLE = [pa.sparse_union([pa.field("a", pa.int8())]), pa.month_day_nano_interval(), pa.list_(pa.struct([])), RUNS]


@pytest.mark.parametrize("data_type", UNSTORABLE, ids=str)
def test_types_that_parquet_cannot_hold_are_refused_by_column(data_type: pa.DataType) -> None:
    with pytest.raises(SchemaError, match="'odd'"):
        output_schema(pa.schema({"odd": data_type}), pa.schema([]), record_errors=False)


def test_the_columns_are_the_inputs_then_the_outputs_then_the_error() -> None:
    schema = output_schema(
        pa.schema([pa.field("id", pa.int64(), nullable=False)], metadata={b"pandas": b"{}"}),
        pa.schema([pa.field("y", pa.float64(), nullable=False)]),
        record_errors=True,
    )
    assert schema.names == ["id", "y", "_error"]
    assert [field.nullable for field in schema] == [False, True, True]
    assert schema.metadata is None


@pytest.mark.parametrize(("column", "output"), [("Y", "y"), ("_ERROR", "z")])
def test_an_output_named_like_an_input_column_is_refused(column: str, output: str) -> None:
    with pytest.raises(SchemaError, match=rf"input column '{column}'; rename"):
        output_schema(pa.schema({column: pa.int64()}), pa.schema({output: pa.int64()}), record_errors=True)


def test_two_outputs_of_one_name_are_refused() -> None:
    with pytest.raises(SchemaError, match="two outputs"):
        output_schema(pa.schema({}), pa.schema({"a": pa.int8(), "A": pa.int8()}), record_errors=False)


def test_a_column_named_error_is_the_users_own_unless_errors_are_recorded() -> None:
    schema = pa.schema({"_error": pa.int64()})
    assert output_schema(schema, pa.schema({"y": pa.int64()}), record_errors=False).names == ["_error", "y"]


def test_errors_stand_at_their_rows() -> None:
    array = error_array(
        3, {1: RowError("ValueError", "no", "infer"), 2: RowError("OSError", "gone", "resolve", "a.png")}
    )
    assert array.to_pylist() == [
        None,
        {"type": "ValueError", "message": "no", "step": "infer", "reference": None},
        {"type": "OSError", "message": "gone", "step": "resolve", "reference": "a.png"},
    ]
    assert error_array(2, {}).null_count == 2


def test_digests_tell_names_types_and_nullability_apart() -> None:
    schemas = [
        pa.schema({"a": pa.int64()}),
        pa.schema({"b": pa.int64()}),
        pa.schema({"a": pa.int32()}),
        pa.schema([pa.field("a", pa.int64(), nullable=False)]),
        pa.schema({"a": pa.int64(), "b": pa.int64()}),
    ]
    assert len({schema_digest(schema) for schema in schemas}) == len(schemas)
    assert schema_digest(schemas[0]) == schema_digest(schemas[0].with_metadata({"k": "v"}))


def test_rows_that_do_not_fit_are_refused() -> None:
    batch = pa.record_batch({"a": ["x"]})
    with pytest.raises(SchemaError, match=r"\['a'\].*\['b'\]"):
        fit(batch, pa.schema({"b": pa.string()}))
    with pytest.raises(SchemaError, match="do not fit"):
        fit(batch, pa.schema({"a": pa.int64()}))
