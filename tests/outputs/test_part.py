"""Parts: whole or not there, in bounded row groups, stored plainly where that is faster."""

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gristmill.errors import SchemaError
from gristmill.outputs.part import PartWriter
from gristmill.storage.location import join
from tests.outputs.conftest import Somewhere

SCHEMA = pa.schema({"x": pa.float64()})


def batch(rows: int) -> pa.RecordBatch:
    return pa.record_batch({"x": [float(row) for row in range(rows)]})


def test_batches_become_one_file_in_order(place: Somewhere) -> None:
    location = join(place.location, "part.parquet")
    writer = PartWriter(place.storage, location, SCHEMA)
    for start in (0, 3, 5):
        writer.write(batch(8).slice(start, 2))
    writer.write(batch(0))
    part = writer.close()
    assert (part.location, part.rows) == (location, 6)
    assert part.bytes == place.storage.info(location).size
    with place.storage.open(location) as file:
        assert pq.read_table(file)["x"].to_pylist() == [0, 1, 3, 4, 5, 6]


def test_the_name_appears_only_when_the_file_is_whole(place: Somewhere) -> None:
    location = join(place.location, "part.parquet")
    writer = PartWriter(place.storage, location, SCHEMA)
    for _ in range(6):
        writer.write(batch(100_000))
    if not location.startswith("memory:"):
        assert not place.storage.exists(location)
    writer.abort()
    assert list(place.storage.list(place.location)) == []


def test_an_exception_in_the_block_leaves_nothing(place: Somewhere) -> None:
    location = join(place.location, "part.parquet")
    with pytest.raises(SchemaError), PartWriter(place.storage, location, SCHEMA) as writer:  # noqa: PT012
        writer.write(batch(300_000))
        writer.write(pa.record_batch({"y": [1.0]}))
    assert list(place.storage.list(place.location)) == []


def test_a_part_without_rows_has_its_columns(place: Somewhere) -> None:
    part = PartWriter(place.storage, join(place.location, "part.parquet"), SCHEMA).close()
    with place.storage.open(part.location) as file:
        assert pq.read_table(file).schema.equals(SCHEMA)


def test_other_columns_are_refused(place: Somewhere) -> None:
    with (
        pytest.raises(SchemaError, match="the output has"),
        PartWriter(place.storage, join(place.location, "part.parquet"), SCHEMA) as writer,
    ):
        writer.write(pa.record_batch({"y": [1.0]}))


def _metadata(place: Somewhere, table: pa.Table) -> pq.FileMetaData:
    with PartWriter(place.storage, join(place.location, "part.parquet"), table.schema) as writer:
        for one in table.to_batches(max_chunksize=10_000):
            writer.write(one)
        location = writer.close().location
    with place.storage.open(location) as file:
        return pq.ParquetFile(file).metadata


@pytest.mark.parametrize("place", ["memory"], indirect=True)
def test_row_groups_are_neither_tiny_nor_huge(place: Somewhere) -> None:
    small = _metadata(place, pa.table({"x": pa.nulls(600_000, pa.int8())}))
    assert [small.row_group(i).num_rows for i in range(small.num_row_groups)] == [270_000, 270_000, 60_000]
    wide = _metadata(place, pa.table({"x": [b"\0" * 1_000_000] * 200}))
    assert wide.num_row_groups == 1  # one batch is never split by size
    blob = pa.record_batch({"x": [b"\0" * 1_000_000]})
    with PartWriter(place.storage, join(place.location, "blobs.parquet"), blob.schema) as writer:
        for _ in range(200):
            writer.write(blob)
        location = writer.close().location
    with place.storage.open(location) as file:
        assert pq.ParquetFile(file).metadata.num_row_groups == 3


@pytest.mark.parametrize("place", ["memory"], indirect=True)
def test_encodings_follow_the_data(place: Somewhere) -> None:
    randomness = random.Random(1)
    rows = 20_000
    columns = {
        "noise": pa.array([randomness.random() for _ in range(rows)]),
        "constant": pa.array([1.0] * rows),
        "label": pa.array([randomness.randrange(2) for _ in range(rows)]),
        "kind": pa.array([randomness.choice(["cat", "dog"]) for _ in range(rows)]),
        "path": pa.array([f"s3://bucket/{row}" for row in range(rows)]),
    }
    group = _metadata(place, pa.table(columns)).row_group(0)
    found = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert {name: column.compression for name, column in found.items()} == {
        "noise": "UNCOMPRESSED", "constant": "SNAPPY", "label": "SNAPPY", "kind": "SNAPPY", "path": "SNAPPY"
    }  # fmt: skip
    assert {name for name, column in found.items() if column.has_dictionary_page} == {"kind"}
    assert not found["noise"].is_stats_set
    assert found["label"].is_stats_set
