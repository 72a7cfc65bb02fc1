"""Views of binary columns."""

import pyarrow as pa
import pytest

from gristmill.models.binary import binary_views

VALUES = [b"one", None, b"", b"four", b"\x00\xff"]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
@pytest.mark.parametrize(("start", "length"), [(0, 5), (1, 3), (4, 1), (5, 0)])
def test_views_show_the_values_of_any_slice(kind: pa.DataType, start: int, length: int) -> None:
    column = pa.array(VALUES, kind).slice(start, length)
    assert [None if view is None else bytes(view) for view in binary_views(column)] == VALUES[start : start + length]


def test_nothing_is_copied() -> None:
    column = pa.array([b"x" * 1_000])
    (view,) = binary_views(column)
    assert view is not None
    assert pa.py_buffer(view).address == column.buffers()[2].address


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError, match="string"):
        binary_views(pa.array(["text"]))
