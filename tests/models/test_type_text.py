import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.models.type_text import type_from_json, type_to_json

PRIMITIVES = [
    pa.null(), pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(),
    pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.string(), pa.large_string(), pa.string_view(),
    pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(16), pa.date32(), pa.date64(), pa.time32("ms"),
    pa.time64("us"), pa.timestamp("s"), pa.timestamp("ns", tz="Europe/Berlin"), pa.duration("ms"),
    pa.decimal128(12, 3), pa.decimal256(60, -2), pa.month_day_nano_interval(),
]  # fmt: skip
ODD = [
    pa.dictionary(pa.int8(), pa.string()),
    pa.run_end_encoded(pa.int32(), pa.float64()),
    pa.list_view(pa.int64()),
    pa.dense_union([pa.field("a", pa.int64()), pa.field("b", pa.string())]),
    pa.list_(pa.field("element", pa.int64(), nullable=False)),
    pa.struct([pa.field("x", pa.int64(), metadata={"unit": "m"})]),
    pa.fixed_shape_tensor(pa.float32(), [2, 3]),
]


def nested(inner: st.SearchStrategy[pa.DataType]) -> st.SearchStrategy[pa.DataType]:
    fields = st.lists(st.tuples(st.text(max_size=3), inner, st.booleans()), max_size=3)
    return st.one_of(
        inner.map(pa.list_),
        inner.map(pa.large_list),
        st.tuples(inner, st.integers(0, 5)).map(lambda pair: pa.list_(*pair)),
        fields.map(lambda found: pa.struct([_field(*field) for field in found])),
        inner.map(lambda kind: pa.map_(pa.string(), kind)),
    )


def _field(name: str, kind: pa.DataType, nullable: bool) -> pa.Field:
    return pa.field(name, kind, nullable=nullable or pa.types.is_null(kind))  # Arrow has no other nulls


TYPES = st.recursive(st.sampled_from(PRIMITIVES + ODD), nested, max_leaves=6)


@given(TYPES)
def test_every_type_comes_back_as_it_was(kind: pa.DataType) -> None:
    written = json.loads(json.dumps(type_to_json(kind)))
    assert pa.field("x", type_from_json(written)).equals(pa.field("x", kind), check_metadata=True)


@pytest.mark.parametrize("kind", PRIMITIVES)
def test_plain_types_are_readable(kind: pa.DataType) -> None:
    assert isinstance(type_to_json(kind), str)


@pytest.mark.parametrize("written", ["int65", 7, {"tuple": ["int64"]}])
def test_what_is_no_type_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="is not an Arrow type"):
        type_from_json(written)
