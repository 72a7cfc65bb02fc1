"""Frames and queries, stored once: the rows, their types and their digest."""

import datetime as dt
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.inputs.test_reader import tables

from gristmill.errors import SchemaError, SpecError
from gristmill.inputs.content import ContentHash
from gristmill.inputs.frames import open_frame
from gristmill.inputs.query import query
from gristmill.inputs.reader import read_shard
from gristmill.inputs.snapshot import SnapshotResult, snapshot
from gristmill.inputs.source import open_source, schema_of
from gristmill.plan.planner import plan_shards
from gristmill.plan.policy import ShardPolicy
from gristmill.settings import Settings
from gristmill.storage.storage import Storage

TABLE = pa.table(
    {
        "id": [1, 2, 3],
        "s": ["a", None, "c"],
        "d": pa.array(["x", "y", "x"]).dictionary_encode(),
        "m": [Decimal("1.50"), None, Decimal("2.25")],
        "t": pa.array([dt.datetime(2024, 1, 1, tzinfo=dt.UTC)] * 3, pa.timestamp("us", "Europe/Zurich")),
        "l": [[1, 2], [], None],
        "n": [{"a": [1.5]}, None, {"a": None}],
    }
)


def stored(given_: Any, storage: Storage, folder: str) -> SnapshotResult:
    source = open_source(given_, storage)
    assert not isinstance(source, str)
    expected = schema_of(source)
    result = snapshot(source, storage, folder)  # type: ignore[arg-type]
    assert result.source.schema == expected
    return result


def content(result: SnapshotResult, storage: Storage) -> list[dict[str, Any]]:
    found = []
    for shard in plan_shards(storage, result.source, ShardPolicy()):
        for block in read_shard(storage, format="parquet", schema=result.source.schema, shard=shard):
            assert not block.errors
            found += block.rows.to_pylist()
    assert len(found) == result.rows
    return found


class Streaming:
    """What some library hands out: Arrow's stream interface and nothing else."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return TABLE.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize(
    "make",
    [
        lambda: TABLE,
        lambda: TABLE.combine_chunks().to_batches()[0],
        lambda: pa.RecordBatchReader.from_batches(TABLE.schema, TABLE.to_batches(max_chunksize=1)),
        lambda: pa.dataset.dataset(TABLE),
        Streaming,
        lambda: pl.from_arrow(TABLE),
        lambda: pl.from_arrow(TABLE).lazy(),  # type: ignore[union-attr]
    ],
    ids=["table", "batch", "reader", "dataset", "stream", "polars", "lazy"],
)
def test_frames_of_every_kind_are_stored(make: Any, tmp_path: Path, storage: Storage) -> None:
    result = stored(make(), storage, str(tmp_path / "in"))
    assert content(result, storage) == TABLE.to_pylist()
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["part-00000.parquet"]


@pytest.mark.parametrize("form", ["parquet", "ipc"])
def test_a_dataset_of_files_is_stored(form: str, tmp_path: Path, storage: Storage) -> None:
    pa.dataset.write_dataset(TABLE, tmp_path / "files", format=form)
    result = stored(pa.dataset.dataset(tmp_path / "files", format=form), storage, str(tmp_path / "in"))
    assert content(result, storage) == TABLE.to_pylist()


def test_a_pandas_frame_is_stored_with_its_types(tmp_path: Path, storage: Storage) -> None:
    frame = pd.DataFrame(
        {
            "i": [1, 2],
            "f": [1.5, float("nan")],
            "s": ["a", None],
            "c": pd.Categorical(["u", "v"]),
            "o": [{"a": 1}, None],
            "l": [[1, 2], None],
            "t": pd.to_datetime(["2024-01-01", None], utc=True),
            "I": pd.array([1, None], dtype="Int64"),
        }
    ).rename(columns={"I": 7})
    found = content(stored(frame, storage, str(tmp_path)), storage)
    assert [row["i"] for row in found] == [1, 2]
    assert found[1] == {"i": 2, "f": None, "s": None, "c": "v", "o": None, "l": None, "t": None, "7": None}
    assert found[0]["o"] == {"a": 1}


def test_an_index_comes_along_when_it_has_a_name(storage: Storage) -> None:
    frame = pd.DataFrame({"x": [1, 2]}, index=[5, 6])
    assert open_frame(frame).schema.names == ["x"]
    assert open_frame(frame.rename_axis("key")).schema.names == ["key", "x"]


def test_values_of_no_common_type_are_refused_by_column(storage: Storage) -> None:
    with pytest.raises(SchemaError, match=r"column 'mixed' .*dtype object.* no common type"):
        open_frame(pd.DataFrame({"fine": [1, 2], "mixed": pd.Series([1, "a"], dtype=object)}))


def test_types_that_cannot_be_stored_are_refused_by_column() -> None:
    table = pa.table({"x": pa.array([], pa.month_day_nano_interval())})
    with pytest.raises(SchemaError, match=r"column 'x' of type month_day_nano_interval.* cannot be stored"):
        open_frame(table)


@pytest.mark.parametrize("names", [["a", "a"], ["a", "A"]])
def test_columns_that_share_a_name_are_refused(names: list[str]) -> None:
    with pytest.raises(SchemaError, match="has two columns"):
        open_frame(pa.table([[1], [2]], names=names))
    with pytest.raises(SchemaError, match="has two columns"):
        open_frame(pd.DataFrame([[1, 2]], columns=names))


@pytest.mark.parametrize("given_", [[{"a": 1}], 5, None, {"a": [1]}, pa.Table])
def test_what_is_no_input_is_refused_with_what_is(given_: Any, storage: Storage) -> None:
    with pytest.raises(SpecError, match=r"X: .* is not an input; give a location, .*Polars frame"):
        open_source(given_, storage)


def test_a_stream_that_was_read_is_not_read_again(storage: Storage, tmp_path: Path) -> None:
    source = open_frame(pa.RecordBatchReader.from_batches(TABLE.schema, TABLE.to_batches()))
    snapshot(source, storage, str(tmp_path))
    with pytest.raises(SpecError, match="has been read already"):
        snapshot(source, storage, str(tmp_path))


@pytest.mark.parametrize(
    "empty",
    [TABLE.slice(0, 0), pd.DataFrame({"a": pd.Series([], dtype="int64")}), pl.DataFrame(schema={"a": pl.String})],
)
def test_a_frame_without_rows_is_stored(empty: Any, tmp_path: Path, storage: Storage) -> None:
    result = stored(empty, storage, str(tmp_path))
    assert (result.rows, len(result.source.files)) == (0, 1)
    assert content(result, storage) == []


def test_large_frames_are_stored_in_bounded_row_groups(tmp_path: Path, storage: Storage) -> None:
    import pyarrow.parquet as pq

    table = pa.table({"id": list(range(200_000))})
    result = stored(table, storage, str(tmp_path))
    metadata = pq.read_metadata(tmp_path / "part-00000.parquet")
    assert {metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)} <= {65_536, 200_000 % 65_536}
    assert [row["id"] for row in content(result, storage)] == list(range(200_000))


def test_a_failure_leaves_no_files(tmp_path: Path, storage: Storage) -> None:
    def batches() -> Any:
        yield from TABLE.to_batches()
        raise RuntimeError("the connection broke")

    reader = pa.RecordBatchReader.from_batches(TABLE.schema, batches())
    with pytest.raises((RuntimeError, OSError, pa.ArrowException), match="the connection broke"):
        snapshot(open_frame(reader), storage, str(tmp_path / "in"))
    assert not list((tmp_path / "in").glob("*"))


@hypothesis_settings(max_examples=80)
@given(table=tables(), cuts=st.lists(st.integers(0, 60), max_size=4), other=tables())
def test_the_digest_tells_rows_apart_and_not_their_batches(table: pa.Table, cuts: list[int], other: pa.Table) -> None:
    def digest(batches: list[pa.RecordBatch]) -> str:
        found = ContentHash(table.schema)
        for batch in batches:
            found.update(batch)
        return found.hexdigest()

    whole = digest(table.combine_chunks().to_batches())
    ends = sorted({0, *(min(cut, table.num_rows) for cut in cuts), table.num_rows})
    parts = [table.slice(start, stop - start) for start, stop in pairwise(ends)]
    assert digest([batch for part in parts for batch in part.to_batches()]) == whole
    rebuilt = pa.Table.from_pylist(table.to_pylist(), schema=table.schema)
    assert digest(rebuilt.to_batches()) == whole
    if other.schema == table.schema:
        assert (digest(other.to_batches()) == whole) == (other.to_pylist() == table.to_pylist())


class TestQuery:
    def test_files_are_selected_from_and_stored(self, tmp_path: Path, storage: Storage) -> None:
        (tmp_path / "x.csv").write_text("id,name\n1,a\n2,b\n")
        source = query(f"SELECT id * 10 AS id, name FROM '{tmp_path}/x.csv' ORDER BY id;", storage=storage)
        assert source.schema.names == ["id", "name"]
        rows = [{"id": 10, "name": "a"}, {"id": 20, "name": "b"}]
        assert source.to_arrow().to_pylist() == rows
        assert source.to_pandas()["id"].tolist() == [10, 20]
        assert source.to_polars().rows(named=True) == rows
        assert pa.table(source).to_pylist() == rows
        assert content(stored(source, storage, str(tmp_path / "in")), storage) == rows

    def test_stages_and_other_filesystems_serve(self, s3: Any) -> None:
        storage = Storage(s3.settings)
        storage.write_bytes(f"{s3.root}/in/x.csv", b"id,mail\n1,@gmail.com\n2,y\n")
        for place in (f"{s3.root}/in/x.csv", "@db.public.bucket/in/x.csv", "@DB.PUBLIC.BUCKET/in/*.csv"):
            found = query(f"SELECT id FROM read_csv('{place}') WHERE mail = '@gmail.com'", storage=storage)
            assert found.to_arrow().to_pylist() == [{"id": 1}]

    @pytest.mark.parametrize(
        ("sql", "message"),
        [
            ("SELEC 1", "syntax error"),
            ("SELECT * FROM '/nowhere/x.parquet'", "No files found"),
            ("SELECT 1; SELECT 2", "one SELECT; found: SELECT, SELECT"),
            ("CREATE TABLE x AS SELECT 1", "one SELECT; found: CREATE"),
            ("COPY (SELECT 1) TO '/tmp/x.csv'", "one SELECT; found: COPY"),
            ("", "found: nothing"),
            ("SELECT * FROM storage", "storage"),
        ],
    )
    def test_broken_sql_is_refused_with_the_reason(self, storage: Storage, sql: str, message: str) -> None:
        with pytest.raises(SpecError, match=message):
            query(sql, storage=storage)

    def test_a_query_that_fails_on_its_data_says_so(self, storage: Storage, tmp_path: Path) -> None:
        found = query(
            "SELECT CAST(CASE WHEN i > 9 THEN 'x' ELSE '1' END AS INT) AS i FROM range(20) t(i)", storage=storage
        )
        with pytest.raises(SpecError, match="Could not convert"):
            snapshot(found, storage, str(tmp_path / "in"))


def test_a_location_is_files(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a\n1\n")
    storage = Storage(Settings())
    assert schema_of(open_source(tmp_path / "x.csv", storage)).names == ["a"]
    with pytest.raises(SpecError, match="format: only a location has one"):
        open_source(TABLE, storage, format="csv")
