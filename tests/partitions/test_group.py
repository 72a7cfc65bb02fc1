"""Grouping on storage: the same partitions as in memory, whatever the runs, ranges and shards."""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.conftest import S3Server

from gristmill.errors import PartitionError
from gristmill.inputs.block import Block
from gristmill.inputs.reader import read_shard
from gristmill.partitions.failures import failure_field, without_failures
from gristmill.partitions.frames import split
from gristmill.partitions.group import Grouped, group
from gristmill.partitions.grouped import ShardBounds
from gristmill.partitions.keys import changes, comparable
from gristmill.spec.row_error import RowError
from gristmill.storage.storage import Storage


def table(keys: list[Any], kind: pa.DataType | None = None) -> pa.Table:
    numbers = range(len(keys))
    return pa.table({"id": numbers, "key": pa.array(keys, kind), "note": [f"row {at}" for at in numbers]})


def blocks(rows: pa.Table, *, size: int = 100, errors: dict[int, RowError] | None = None) -> Iterator[Block]:
    at = 0
    for batch in rows.to_batches(max_chunksize=size):
        mine = {place - at: error for place, error in (errors or {}).items() if at <= place < at + batch.num_rows}
        yield Block(0, at, batch, batch, mine)
        at += batch.num_rows


def grouped(
    storage: Storage,
    folder: str,
    rows: pa.Table,
    *,
    run_bytes: int = 4_000,
    most_bytes: int = 10**9,
    shard_rows: int = 50,
    errors: dict[int, RowError] | None = None,
) -> Grouped:
    return group(
        blocks(rows, errors=errors),
        storage,
        folder,
        schema=rows.schema,
        column="key",
        bounds=lambda _: ShardBounds(rows=shard_rows),
        most_bytes=most_bytes,
        run_bytes=run_bytes,
    )


def read(storage: Storage, found: Grouped, schema: pa.Schema) -> list[Block]:
    """The rows of each shard, as one block."""
    whole = schema.append(failure_field(schema))
    read = [list(read_shard(storage, format="parquet", schema=whole, shard=shard)) for shard in found.shards]
    assert all(len(one) == 1 for one in read)
    return [without_failures(one[0]) for one in read]


def ids_of(found: list[Block]) -> list[int]:
    return [number for block in found for number in block.rows["id"].to_pylist()]


KEYS: dict[str, list[Any]] = {
    "many small": [f"k{random.Random(at).randrange(400):03d}" for at in range(600)],
    "one for each row": list(range(600, 0, -1)),
    "a single one": ["same"] * 600,
    "one that is most of them": [0 if at % 5 else random.Random(at).randrange(-50, 50) for at in range(600)],
    "null and NaN": [[None, float("nan"), 1.0, -1.0][random.Random(at).randrange(4)] for at in range(600)],
    "sorted already": sorted(at // 7 for at in range(600)),
}


@pytest.mark.parametrize("run_bytes", [4_000, 10**8], ids=["many runs", "one run"])
@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
def test_partitions_are_those_of_the_table_in_order(
    storage: Storage, tmp_path: Path, keys: list[Any], run_bytes: int
) -> None:
    rows = table(keys)
    found = grouped(storage, str(tmp_path / "grouped"), rows, run_bytes=run_bytes)
    wanted = [part["id"].to_pylist() for _, part in split(rows, "key")]
    shards = read(storage, found, rows.schema)
    assert ids_of(shards) == list(itertools.chain(*wanted))
    assert (found.rows, found.partitions) == (len(keys), len(wanted))
    assert pa.Table.from_batches([block.rows for block in shards]).schema == rows.schema
    assert not (tmp_path / "grouped" / "runs").exists()
    # every shard is of whole partitions, and none is larger than it must be
    counts = [[0, *changes(comparable(block.rows["key"])), block.rows.num_rows] for block in shards]
    assert sum(len(bounds) - 1 for bounds in counts) == len(wanted)
    assert all(bounds[-1] <= 50 or len(bounds) == 2 for bounds in counts)
    assert [shard.rows for shard in found.shards] == [bounds[-1] for bounds in counts]


def test_rows_that_could_not_be_read_keep_their_errors(storage: Storage, tmp_path: Path) -> None:
    rows = table([f"k{at % 3}" for at in range(300)])
    error = RowError("ArrowInvalid", "not a number: 'x'", "read", "rows.csv:7")
    found = grouped(storage, str(tmp_path / "grouped"), rows, errors={4: error, 250: error}, shard_rows=1_000)
    (block,) = read(storage, found, rows.schema)
    assert {block.rows["id"][place].as_py(): one for place, one in block.errors.items()} == {4: error, 250: error}


@pytest.mark.parametrize("run_bytes", [4_000, 10**8])
def test_a_partition_that_is_too_large_is_named_with_its_rows_and_bytes(
    storage: Storage, tmp_path: Path, run_bytes: int
) -> None:
    rows = table(["small", *["large"] * 1_000, "small"])
    with pytest.raises(PartitionError) as caught:
        grouped(storage, str(tmp_path / "grouped"), rows, run_bytes=run_bytes, most_bytes=20_000)
    told = str(caught.value)
    assert "the partition key=large has 1,000 rows of 32" in told
    assert "more than the 20.0 kB that one may take here; partition by a finer column" in told
    assert "max_partition_bytes" in told


def test_no_rows_are_no_shards(storage: Storage, tmp_path: Path) -> None:
    assert grouped(storage, str(tmp_path / "grouped"), table([], pa.string())) == Grouped([], 0, 0)


def test_runs_are_read_back_from_object_storage(s3: S3Server) -> None:
    storage = Storage(s3.settings)
    rows = table(KEYS["many small"][:200])
    found = grouped(storage, f"{s3.root}/grouped", rows)
    wanted = itertools.chain(*(part["id"].to_pylist() for _, part in split(rows, "key")))
    assert ids_of(read(storage, found, rows.schema)) == list(wanted)
    assert not any("/runs/" in info.location for info in storage.list(f"{s3.root}/grouped"))


def test_nested_dictionary_and_extension_columns_come_through(storage: Storage, tmp_path: Path) -> None:
    rows = pa.table({
        "id": range(300),
        "key": pa.array([f"k{at % 7}" for at in range(300)]).dictionary_encode(),
        "list": [[at, None] for at in range(300)],
        "struct": [{"a": at, "b": str(at)} for at in range(300)],
    })  # fmt: skip
    found = grouped(storage, str(tmp_path / "grouped"), rows, run_bytes=2_000)
    back = pa.Table.from_batches([block.rows for block in read(storage, found, rows.schema)])
    assert back.sort_by("id").to_pylist() == rows.to_pylist()
    assert back.schema == rows.schema


def test_grouping_can_be_stopped_while_it_writes(storage: Storage, tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    begun = False

    def all_blocks() -> Iterator[Block]:
        nonlocal begun
        yield from blocks(rows)
        begun = True

    def check() -> None:
        if begun:
            raise StoppedError

    rows = table([at % 7 for at in range(1_000)])
    with pytest.raises(StoppedError):
        group(
            all_blocks(),
            storage,
            str(tmp_path / "grouped"),
            schema=rows.schema,
            column="key",
            bounds=lambda _: ShardBounds(rows=50),
            most_bytes=10**9,
            run_bytes=4_000,
            check=check,
        )
    assert not (tmp_path / "grouped" / "runs").exists()
