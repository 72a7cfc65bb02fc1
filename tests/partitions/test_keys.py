"""Keys: what can be one, and which are equal."""

import datetime
import decimal
import math

import pyarrow as pa
import pytest

from gristmill.errors import SchemaError
from gristmill.partitions.frames import split
from gristmill.partitions.keys import changes, check_key, comparable, key_text

KEYS = [
    pa.array([True, False, True]),
    pa.array([2, 1, 2], pa.uint8()),
    pa.array([decimal.Decimal("1.5"), decimal.Decimal("0.5"), decimal.Decimal("1.5")]),
    pa.array([decimal.Decimal("1.5"), decimal.Decimal("0.5"), decimal.Decimal("1.5")], pa.decimal32(3, 1)),
    pa.array([decimal.Decimal("1.5"), decimal.Decimal("0.5"), decimal.Decimal("1.5")], pa.decimal64(12, 1)),
    pa.array(["b", "a", "b"]),
    pa.array(["b", "a", "b"], pa.large_string()),
    pa.array(["b", "a", "b"]).dictionary_encode(),
    pa.array([b"b", b"a", b"b"], pa.binary(1)),
    pa.array([datetime.date(2026, 1, 2), datetime.date(2026, 1, 1), datetime.date(2026, 1, 2)]),
    pa.array([2, 1, 2], pa.timestamp("us", "UTC")),
    pa.array([2, 1, 2], pa.time64("us")),
    pa.array([2, 1, 2], pa.duration("s")),
    pa.array([2.0, 1.0, 2.0]).cast(pa.float16()),
    pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"b" * 16, b"a" * 16, b"b" * 16], pa.binary(16))),
]


@pytest.mark.parametrize("keys", KEYS, ids=lambda keys: str(keys.type))
def test_rows_are_told_apart_by_any_plain_type_and_keys_keep_it(keys: pa.Array) -> None:
    check_key(keys.type, what="x")
    found = list(split(pa.table({"key": keys, "at": [0, 1, 2]}), "key"))
    assert [rows["at"].to_pylist() for _, rows in found] == [[1], [0, 2]]
    assert [key for key, _ in found] == [keys[1].as_py(), keys[0].as_py()]
    assert all(rows.schema.field("key").type == keys.type for _, rows in found)


@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.struct({"a": pa.int64()}), pa.map_(pa.string(), pa.int64())])
def test_a_nested_column_is_no_key(kind: pa.DataType) -> None:
    with pytest.raises(SchemaError, match=r"'x' holds .* which cannot tell partitions apart; partition by text"):
        check_key(kind, what="the column 'x'")


def test_one_null_is_like_another_and_so_is_nan_and_zero_has_no_sign() -> None:
    keys = pa.array([None, 0.0, math.nan, -0.0, None, -math.nan, 1.0])
    found = list(split(pa.table({"key": keys, "at": range(7)}), "key"))
    assert [rows["at"].to_pylist() for _, rows in found] == [[1, 3], [6], [2, 5], [0, 4]]


def test_a_column_of_nothing_is_one_partition() -> None:
    assert changes(comparable(pa.nulls(3))) == []
    assert [(key, rows.num_rows) for key, rows in split(pa.table({"key": pa.nulls(3)}), "key")] == [(None, 3)]


def test_no_rows_are_no_partitions() -> None:
    assert list(split(pa.table({"key": pa.array([], pa.string())}), "KEY")) == []


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(SchemaError, match=r"partition_column: the input has no column 'day'; it has: key"):
        list(split(pa.table({"key": [1]}), "day"))


def test_a_long_key_is_cut_for_people() -> None:
    assert key_text("x" * 500) == "x" * 200 + "…"
