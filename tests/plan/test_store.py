"""The plan file holds shards in order and can be read from anywhere."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gristmill.errors import GristmillError
from gristmill.plan.shards import Shard, Slice
from gristmill.plan.store import PlanSummary, read_plan, read_summary, write_plan
from gristmill.settings import Settings
from gristmill.storage.storage import Storage

STORAGE = Storage(Settings())
slices = st.builds(
    Slice,
    location=st.sampled_from(["/a", "/b", "s3://bucket/ü"]),
    size=st.integers(0, 2**50),
    version=st.text(max_size=5),
    groups=st.none() | st.tuples(st.integers(0, 9), st.integers(10, 20)),
    start=st.integers(0, 9),
    rows=st.none() | st.integers(0, 2**40),
)


@hypothesis_settings(max_examples=50)
@given(parts=st.lists(st.lists(slices, min_size=1, max_size=4), max_size=8), start=st.integers(0, 9))
def test_shards_come_back_as_they_were(parts: list[list[Slice]], start: int) -> None:
    shards = [Shard(at, tuple(found)) for at, found in enumerate(parts)]
    summary = write_plan(STORAGE, "memory:///plans/plan.parquet", iter(shards))
    assert list(read_plan(STORAGE, "memory:///plans/plan.parquet")) == shards
    assert list(read_plan(STORAGE, "memory:///plans/plan.parquet", start=start)) == shards[start:]
    assert read_summary(STORAGE, "memory:///plans/plan.parquet") == summary
    assert summary.shards == len(shards)
    known = [shard.rows for shard in shards]
    assert summary.rows == (None if None in known else sum(row for row in known if row is not None))


def test_a_long_plan_is_read_from_any_place(tmp_path: Path, storage: Storage) -> None:
    location = str(tmp_path / "plan.parquet")
    one = [Slice(f"/data/{at // 10}", 100, "v", (at % 10, at % 10 + 1), 0, 7) for at in range(40_000)]
    shards = [Shard(at, (part, part)) if at % 3 == 0 else Shard(at, (part,)) for at, part in enumerate(one)]
    summary = write_plan(storage, location, iter(shards))
    assert summary == PlanSummary(shards=40_000, rows=7 * 53_334, bytes=100 * 4_000, files=4_000)
    for start in (0, 1, 12_287, 12_288, 39_999, 40_000):
        assert list(read_plan(storage, location, start=start)) == shards[start:]
    assert [path.name for path in tmp_path.glob("plan*")] == ["plan.parquet"]


def test_shards_out_of_order_are_refused(tmp_path: Path, storage: Storage) -> None:
    part = Slice("/a", 1, "")
    with pytest.raises(ValueError, match="shard 2"):
        write_plan(storage, str(tmp_path / "plan"), iter([Shard(0, (part,)), Shard(2, (part,))]))
    with pytest.raises(ValueError, match="0 slices"):
        write_plan(storage, str(tmp_path / "plan"), iter([Shard(0, ())]))
    assert not (tmp_path / "plan").exists()


def test_what_is_no_plan_is_told(tmp_path: Path, storage: Storage) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"x": [1]}), tmp_path / "x.parquet")
    with pytest.raises(GristmillError, match="is not a plan"):
        read_summary(storage, str(tmp_path / "x.parquet"))
    with pytest.raises(FileNotFoundError):
        list(read_plan(storage, str(tmp_path / "none")))
