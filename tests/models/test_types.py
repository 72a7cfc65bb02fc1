from typing import Any

import pyarrow as pa
import pytest

from gristmill.errors import ModelError
from gristmill.models.types import annotated_type, arrow_type


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("int64", pa.int64()),
        (" INT64 ", pa.int64()),
        ("DOUBLE", pa.float64()),
        ("float", pa.float32()),
        ("STRING", pa.string()),
        ("BYTES", pa.binary()),
        ("bool", pa.bool_()),
        ("timestamp", pa.timestamp("us")),
        (float, pa.float64()),
        (pa.date32(), pa.date32()),
        (["double"], pa.list_(pa.float64())),
        (("double", 2), pa.list_(pa.float64(), 2)),
        ([{"label": "string"}], pa.list_(pa.struct([("label", pa.string())]))),
    ],
)
def test_a_type_is_read_in_every_way_it_is_written(written: object, expected: pa.DataType) -> None:
    assert arrow_type(written, what="outputs.x") == expected


@pytest.mark.parametrize("written", ["number", 3, ["double", "double"], [], object])
def test_what_is_no_type_is_refused_with_its_place(written: object) -> None:
    with pytest.raises(ModelError, match=r"outputs\.x: .* is not a type.*int64"):
        arrow_type(written, what="outputs.x")


@pytest.mark.parametrize(
    ("annotation", "default", "expected"),
    [
        (float, 0, (pa.float64(), False)),
        (int | None, None, (pa.int64(), True)),
        (list[str], [], (pa.list_(pa.string()), False)),
        (dict[str, int], {}, (pa.struct([]), False)),
        (None, 0.5, (pa.float64(), False)),
        (None, True, (pa.bool_(), False)),
        (None, [1, 2], (pa.list_(pa.int64()), False)),
        (list, [1, 2], (pa.list_(pa.null()), False)),
        (tuple | None, (1.5,), (pa.list_(pa.null()), True)),
        (list, None, (pa.list_(pa.null()), False)),
        (list[Any], [1, 2], (pa.list_(pa.null()), False)),
        (None, None, (pa.null(), False)),
        (int | str, 1, (pa.null(), False)),
    ],
)
def test_a_parameters_type_follows_its_annotation_else_its_default(
    annotation: object, default: object, expected: tuple[pa.DataType, bool]
) -> None:
    assert annotated_type(annotation, default) == expected
