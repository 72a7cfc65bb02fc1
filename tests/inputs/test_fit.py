import pyarrow as pa
import pyarrow.parquet
import pytest

from gristmill.inputs.fit import fit_column
from gristmill.inputs.frames import open_frame
from gristmill.inputs.snapshot import snapshot
from gristmill.storage.storage import Storage

INT = pa.int64()
PART = pa.struct({"role": pa.string(), "content": pa.string()})


@pytest.mark.parametrize("values", [[[1]] * 3, [[1], None, [2, 3], []], [], [None]], ids=str)
@pytest.mark.parametrize(
    ("view", "kind"),
    [
        (pa.list_view(INT), pa.list_(INT)),
        (pa.large_list_view(INT), pa.large_list(INT)),
        (pa.list_view(INT), pa.large_list(INT)),
        (pa.list_view(pa.list_view(INT)), pa.list_(pa.list_(INT))),
    ],
    ids=str,
)
def test_list_views_become_lists(view: pa.DataType, kind: pa.DataType, values: list) -> None:
    if view.value_type != INT:
        values = [value and [value] for value in values]
    column = pa.array(values, view)
    for views in (column, column[1:], column.take(pa.array(range(len(column) - 1, -1, -1), INT))):
        fitted = fit_column(views, kind)
        fitted.validate(full=True)
        assert fitted.type == kind
        assert fitted.to_pylist() == views.to_pylist()


def test_views_that_overlap_and_stand_in_any_order_become_lists() -> None:
    views = pa.ListViewArray.from_arrays(pa.array([4, 0, 2], pa.int32()), pa.array([1, 3, 2], pa.int32()), range(5))
    assert fit_column(views, pa.list_(INT)).to_pylist() == [[4], [0, 1, 2], [2, 3]]


@pytest.mark.parametrize("kind", [pa.list_view(PART), pa.large_list_view(PART)], ids=str)
def test_messages_in_list_views_are_stored(storage: Storage, tmp_path, kind: pa.DataType) -> None:
    chats = [[{"role": "user", "content": "Hi"}], None, [{"role": "user", "content": "Ho"}] * 2]
    result = snapshot(open_frame(pa.table({"messages": pa.array(chats, kind)})), storage, str(tmp_path / "made"))
    assert result.rows == 3
    (file,) = (tmp_path / "made").iterdir()
    assert pa.parquet.read_table(file)["messages"].to_pylist() == chats
