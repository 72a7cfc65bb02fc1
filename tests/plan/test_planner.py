"""Files become shards that fit the policy."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gristmill.inputs.files import FilesSource, open_files
from gristmill.plan.planner import plan_shards
from gristmill.plan.policy import ShardPolicy
from gristmill.plan.shards import Shard
from gristmill.settings import Settings
from gristmill.storage.storage import FileInfo, Storage

STORAGE = Storage(Settings())


def plan(location: Any, storage: Storage = STORAGE, **policy: Any) -> list[Shard]:
    return list(plan_shards(storage, open_files(storage, location), ShardPolicy(**policy)))


def write(path: Path, rows: int, group: int) -> None:
    pq.write_table(pa.table({"x": pa.array(range(rows), pa.int64())}), path, row_group_size=group, use_dictionary=False)


def test_one_huge_row_group_is_cut_into_even_ranges(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", 100_000, 100_000)
    shards = plan(tmp_path, max_rows=30_000)
    assert [shard.slices[0].rows for shard in shards] == [25_000] * 4
    assert [shard.slices[0].start for shard in shards] == [0, 25_000, 50_000, 75_000]
    assert {shard.slices[0].groups for shard in shards} == {(0, 1)}


def test_neighbouring_row_groups_become_one_slice(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", 1_000, 10)
    (shard,) = plan(tmp_path, min_rows=10**6)
    assert [(part.groups, part.start, part.rows) for part in shard.slices] == [((0, 100), 0, 1_000)]


def test_there_are_four_shards_for_each_worker_where_rows_suffice(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", 100_000, 50_000)
    assert len(plan(tmp_path, parallelism=8)) >= 32
    assert len(plan(tmp_path, parallelism=8, min_rows=50_000)) == 2
    assert len(plan(tmp_path, parallelism=10**6)) == 100


def test_bytes_bound_a_shard_of_many_row_groups(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", 100_000, 1_000)
    sizes = [shard.rows for shard in plan(tmp_path, min_rows=10**6, max_bytes=100_000)]
    assert sum(sizes) == 100_000  # type: ignore[arg-type]
    assert max(sizes) < 15_000  # type: ignore[type-var,operator]


def test_a_row_group_several_times_the_bound_is_cut_for_its_bytes(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", 100_000, 100_000)
    assert len(plan(tmp_path, min_rows=10**6, max_bytes=50_000)) == 5
    assert len(plan(tmp_path, min_rows=10**6, max_bytes=400_000)) == 1


@pytest.mark.parametrize("name", ["{}.parquet", "{}.csv", "{}.jsonl"])
def test_files_without_rows_plan_to_nothing_or_to_empty_shards(tmp_path: Path, name: str) -> None:
    for at in range(3):
        if name.endswith("parquet"):
            pq.write_table(pa.table({"x": pa.array([], pa.int64())}), tmp_path / name.format(at))
        else:
            (tmp_path / name.format(at)).touch()
    assert plan(tmp_path) == []


def test_text_files_are_packed_and_never_cut(tmp_path: Path) -> None:
    for at in range(10):
        (tmp_path / f"{at}.jsonl").write_text('{"a": 1}\n' * (1 if at else 10_000))
    shards = plan(tmp_path, max_bytes=50_000)
    assert [len(shard.slices) for shard in shards] == [1, 3, 3, 3]
    assert [shard.rows for shard in shards] == [None] * 4


def test_many_small_parquet_files_are_packed_without_being_opened() -> None:
    files = tuple(FileInfo(f"/nowhere/{at:06}.parquet", 500, "1") for at in range(2_500))
    source = FilesSource("parquet", "/nowhere", files, pa.schema([("x", pa.int64())]))
    shards = list(plan_shards(STORAGE, source, ShardPolicy(parallelism=1)))
    assert [len(shard.slices) for shard in shards] == [625] * 4
    wide = list(plan_shards(STORAGE, source, ShardPolicy(parallelism=100)))
    assert len(wide) >= 400
    assert [part.location for shard in wide for part in shard.slices] == [info.location for info in files]


def test_large_files_among_many_are_looked_into(tmp_path: Path) -> None:
    for at in range(1_001):
        write(tmp_path / f"{at:04}.parquet", 1 if at != 500 else 50_000, 10_000)
    shards = plan(tmp_path, max_bytes=100_000, max_rows=10_000, parallelism=1)
    known = [shard for shard in shards if shard.rows is not None]
    assert {shard.slices[0].location for shard in known} == {str(tmp_path / "0500.parquet")}
    assert [shard.rows for shard in known] == [10_000] * 5
    assert sum(len(shard.slices) for shard in shards if shard.rows is None) == 1_000


def test_a_file_that_is_not_parquet_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", 1, 1)
    (tmp_path / "b.parquet").write_bytes(b"no")
    with pytest.raises(OSError, match=r"b\.parquet"):
        plan(tmp_path)


@hypothesis_settings(max_examples=40)
@given(
    files=st.lists(st.tuples(st.integers(0, 300), st.integers(1, 120)), min_size=1, max_size=4),
    max_rows=st.integers(1, 200),
    parallelism=st.integers(1, 5),
    min_rows=st.integers(1, 100),
)
def test_shards_keep_to_their_bounds_and_are_enough(
    tmp_path_factory: pytest.TempPathFactory,
    files: list[tuple[int, int]],
    max_rows: int,
    parallelism: int,
    min_rows: int,
) -> None:
    folder = tmp_path_factory.mktemp("files")
    for at, (rows, group) in enumerate(files):
        write(folder / f"{at}.parquet", rows, group)
    total = sum(rows for rows, _ in files)
    shards = plan(folder, max_rows=max_rows, parallelism=parallelism, min_rows=min_rows)
    counts = [shard.rows or 0 for shard in shards]
    assert sum(counts) == total
    assert all(0 < count <= max_rows for count in counts)
    if total >= 4 * parallelism * min_rows:
        assert len(counts) >= 4 * parallelism
