"""Rows read back from shards: all of them, in order, whatever is wrong with some."""

import gzip
import json
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gristmill.errors import ConflictError, SchemaError
from gristmill.inputs.block import Block
from gristmill.inputs.files import open_files
from gristmill.inputs.reader import read_shard
from gristmill.plan.planner import plan_shards
from gristmill.plan.policy import ShardPolicy
from gristmill.plan.shards import Shard, Slice
from gristmill.settings import Settings
from gristmill.storage.storage import Storage

STORAGE = Storage(Settings())


def blocks(storage: Storage, location: str, policy: ShardPolicy | None = None, **options: Any) -> Iterator[Block]:
    source = open_files(storage, location)
    for shard in plan_shards(storage, source, policy or ShardPolicy()):
        yield from read_shard(storage, format=source.format, schema=source.schema, shard=shard, **options)


def rows(storage: Storage, location: str, **options: Any) -> list[dict[str, Any]]:
    return [row for block in blocks(storage, location, **options) for row in block.rows.to_pylist()]


def errors(found: list[Block]) -> dict[int, Any]:
    """Errors by the row's place in its shard."""
    return {block.start + at: error for block in found for at, error in block.errors.items()}


TYPES = [
    pa.int64(),
    pa.float64(),
    pa.bool_(),
    pa.string(),
    pa.large_string(),
    pa.binary(),
    pa.decimal128(12, 3),
    pa.timestamp("us", "Europe/Zurich"),
    pa.date32(),
    pa.dictionary(pa.int8(), pa.string()),
    pa.list_(pa.int32()),
    pa.struct([("a", pa.int16()), ("b", pa.list_(pa.string()))]),
    pa.map_(pa.string(), pa.int64()),
    pa.list_(pa.float32(), 2),
]


def values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """Values of a type, null among them."""
    if pa.types.is_dictionary(kind):
        found: st.SearchStrategy[Any] = st.sampled_from(["x", "y", ""])
    elif pa.types.is_struct(kind):
        found = st.fixed_dictionaries({field.name: values(field.type) for field in kind})
    elif pa.types.is_map(kind):
        found = st.lists(st.tuples(st.text(max_size=3), values(kind.item_type)), max_size=2)
    elif pa.types.is_fixed_size_list(kind):
        found = st.lists(st.floats(width=32, allow_nan=False), min_size=kind.list_size, max_size=kind.list_size)
    elif pa.types.is_list(kind):
        found = st.lists(values(kind.value_type), max_size=3)
    elif pa.types.is_integer(kind):
        bound = 2 ** (kind.bit_width - 1)
        found = st.integers(-bound, bound - 1)
    elif pa.types.is_floating(kind):
        found = st.floats(allow_nan=False)
    elif pa.types.is_boolean(kind):
        found = st.booleans()
    elif pa.types.is_decimal(kind):
        found = st.decimals(-1000, 1000, places=3)
    elif pa.types.is_timestamp(kind):
        found = st.integers(0, 2**50)
    elif pa.types.is_date(kind):
        found = st.dates()
    elif pa.types.is_binary(kind):
        found = st.binary(max_size=9)
    else:
        found = st.text(max_size=9)
    return st.none() | found


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    count = draw(st.integers(0, 60))
    kinds = draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=4))
    columns = {"id": pa.array(range(count), pa.int64())}
    for at, kind in enumerate(kinds):
        chosen = draw(st.lists(values(kind), min_size=count, max_size=count))
        plain = kind.value_type if pa.types.is_dictionary(kind) else kind
        column = pa.array(chosen, plain)
        columns[f"c{at}"] = column.dictionary_encode().cast(kind) if plain is not kind else column
    return pa.table(columns)


policies = st.builds(
    ShardPolicy,
    max_bytes=st.sampled_from([1, 500, 64 * 1024**2]),
    max_rows=st.integers(1, 40),
    parallelism=st.integers(1, 4),
    min_rows=st.integers(1, 20),
    max_files=st.integers(1, 3),
)


@hypothesis_settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(parts=tables(), cuts=st.lists(st.integers(0, 60), max_size=3), data=st.data(), policy=policies)
def test_every_row_of_a_table_comes_back_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, parts: pa.Table, cuts: list[int], data: st.DataObject, policy: ShardPolicy
) -> None:
    folder = tmp_path_factory.mktemp("files")
    form = data.draw(st.sampled_from(["parquet", "arrow"]))
    ends = [0, *sorted(min(cut, parts.num_rows) for cut in cuts), parts.num_rows]
    for at, (start, stop) in enumerate(pairwise(ends)):
        piece = parts.slice(start, stop - start)
        if form == "parquet":
            size = data.draw(st.integers(1, 30))
            pq.write_table(piece, folder / f"{at}.parquet", row_group_size=size)
        else:
            with pa.ipc.new_file(folder / f"{at}.arrow", parts.schema) as writer:
                writer.write_table(piece.unify_dictionaries(), max_chunksize=7)
    source = open_files(STORAGE, folder)
    shards = list(plan_shards(STORAGE, source, policy))
    whole: list[dict[str, Any]] = []
    for shard in shards:
        read = {"format": source.format, "schema": source.schema, "shard": shard}
        bound = {
            "batch_rows": data.draw(st.integers(1, 50)),
            "batch_bytes": data.draw(st.sampled_from([1, 1000, 10**7])),
        }
        found = list(read_shard(STORAGE, **read, **bound))
        assert all(block.rows.schema == source.schema and block.model_rows is block.rows for block in found)
        assert all(0 < block.rows.num_rows <= bound["batch_rows"] for block in found)
        mine = [row for block in found for row in block.rows.to_pylist()]
        starts = [block.start for block in found]
        assert starts == [sum(block.rows.num_rows for block in found[:at]) for at in range(len(found))]
        assert shard.rows in (None, len(mine))
        start, stop = sorted((data.draw(st.integers(0, len(mine) + 2)), data.draw(st.integers(0, len(mine) + 2))))
        cut = list(read_shard(STORAGE, **read, start=start, stop=stop))
        assert [row for block in cut for row in block.rows.to_pylist()] == mine[start:stop]
        whole += mine
    assert [shard.index for shard in shards] == list(range(len(shards)))
    assert whole == parts.to_pylist()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@hypothesis_settings(max_examples=40)
@given(
    texts=st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]) | st.just("\n"), max_size=8)),
    bad=st.sets(st.integers(0, 40), max_size=4),
    window=st.tuples(st.integers(0, 40), st.integers(0, 40)),
)
def test_text_rows_come_back_with_errors_just_where_they_are_bad(
    form: str,
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[str],
    bad: set[int],
    window: tuple[int, int],
) -> None:
    folder = tmp_path_factory.mktemp("text")
    (folder / f"0.{form}").write_text("id,t\n-1,first\n" if form == "csv" else '{"id":-1,"t":"first"}\n')
    lines = []
    for at, text in enumerate(texts):
        quoted = text.replace('"', '""')
        good = f'{at},"{quoted}"' if form == "csv" else json.dumps({"id": at, "t": text})
        wrong = (
            [f"x{at},b", f"{at},b,c"] if form == "csv" else [json.dumps({"id": "x", "t": "b"}), "null", '{"id"', "[1]"]
        )
        lines.append(wrong[at % len(wrong)] if at in bad else good)
    content = "".join(line + "\n" for line in (["id,t", *lines] if form == "csv" else lines))
    (folder / f"1.{form}").write_bytes(content.encode())
    source = open_files(STORAGE, folder)
    shard = Shard(0, tuple(Slice(info.location, info.size, info.version) for info in source.files))
    read = {"format": source.format, "schema": source.schema, "shard": shard}
    found = list(read_shard(STORAGE, **read))
    mine = [row for block in found for row in block.rows.to_pylist()]
    failed = errors(found)
    expected_bad = {at + 1 for at in bad if at < len(texts)}
    assert set(failed) == expected_bad
    assert len(mine) == len(texts) + 1
    for at, text in enumerate(texts, start=1):
        if at not in expected_bad:
            assert mine[at] == {"id": at - 1, "t": text}
        else:
            assert mine[at]["id"] is None
            assert failed[at].step == "read"
    start, stop = min(window), max(window)
    part = list(read_shard(STORAGE, **read, start=start, stop=stop))
    assert [row for block in part for row in block.rows.to_pylist()] == mine[start:stop]
    assert set(errors(part)) == {at for at in expected_bad if start <= at < stop}


def damaged(path: Path, groups: list[int]) -> None:
    """Overwrite the pages of row groups, leaving the footer as it is."""
    metadata = pq.read_metadata(path)
    content = bytearray(path.read_bytes())
    for group in groups:
        for at in range(metadata.num_columns):
            column = metadata.row_group(group).column(at)
            start = min(offset for offset in (column.dictionary_page_offset, column.data_page_offset) if offset)
            content[start : start + column.total_compressed_size] = os.urandom(column.total_compressed_size)
    path.write_bytes(content)


@pytest.mark.parametrize("broken", [[0], [1, 2], [3], [0, 1, 2, 3]])
def test_a_damaged_row_group_costs_its_own_rows_only(tmp_path: Path, storage: Storage, broken: list[int]) -> None:
    path = tmp_path / "x.parquet"
    table = pa.table({"id": list(range(400)), "s": [f"text {at}" for at in range(400)]})
    pq.write_table(table, path, row_group_size=100)
    damaged(path, broken)
    found = list(blocks(storage, str(path), batch_rows=64))
    got = [row for block in found for row in block.rows.to_pylist()]
    lost = {at for group in broken for at in range(group * 100, group * 100 + 100)}
    assert set(errors(found)) == lost
    assert {(error.step, error.reference) for error in errors(found).values()} == {("read", str(path))}
    assert [row if at not in lost else {"id": at, "s": f"text {at}"} for at, row in enumerate(got)] == table.to_pylist()
    assert all(got[at] == {"id": None, "s": None} for at in lost)


def test_damage_in_the_middle_of_a_row_group_spares_what_could_be_decoded(tmp_path: Path, storage: Storage) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(
        pa.table({"id": list(range(50_000))}), path, data_page_size=4096, use_dictionary=False, max_rows_per_page=1000
    )
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    content[half : half + 9000] = os.urandom(9000)
    path.write_bytes(content)
    found = list(blocks(storage, str(path), ShardPolicy(min_rows=10**6), batch_rows=1000))
    failed = errors(found)
    first = min(failed)
    assert set(failed) == set(range(first, 50_000))
    assert 0 < first < 50_000
    ids = [value for block in found for value in block.rows.column("id").to_pylist()]
    assert ids == [at if at < first else None for at in range(50_000)]


def test_a_range_may_begin_in_a_long_row_group_and_end_in_short_ones(tmp_path: Path, storage: Storage) -> None:
    path = tmp_path / "x.parquet"
    with pq.ParquetWriter(path, pa.schema([("id", pa.int64())])) as writer:
        for start, stop in [(0, 100), (100, 101), (101, 102), (102, 150)]:
            writer.write_table(pa.table({"id": list(range(start, stop))}))
    info = storage.info(str(path))
    shard = Shard(0, (Slice(info.location, info.size, info.version, groups=(0, 4), start=60, rows=50),))
    found = list(read_shard(storage, format="parquet", schema=pa.schema([("id", pa.int64())]), shard=shard, start=3))
    assert [value for block in found for value in block.rows.column("id").to_pylist()] == list(range(63, 110))


def test_nulls_in_lists_of_fixed_size_are_read(tmp_path: Path, storage: Storage) -> None:
    kind = pa.list_(pa.float32(), 2)
    table = pa.table(
        {
            "v": pa.array([[1.0, 2.0], None, [3.0, None]], kind),
            "n": pa.array([{"v": None}, None, {"v": [1.0, 2.0]}], pa.struct([("v", kind)])),
            "d": pa.array(["x", "y", "x"]).dictionary_encode(),
            "t": pa.array([1, 2, 3], pa.timestamp("us", "Europe/Zurich")),
        }
    )
    pq.write_table(table, tmp_path / "x.parquet")
    assert rows(storage, str(tmp_path)) == table.to_pylist()


def test_a_text_that_is_not_utf8_fails_its_row(tmp_path: Path, storage: Storage) -> None:
    bytes_ = pa.array([b"a", b"\xff\xfe", b"c", None, b"\xc3"])
    texts = pa.Array.from_buffers(pa.string(), 5, bytes_.buffers())
    pq.write_table(pa.table({"id": [1, 2, 3, 4, 5], "t": texts}), tmp_path / "x.parquet")
    (block,) = blocks(storage, str(tmp_path))
    assert block.rows.column("t").to_pylist() == ["a", None, "c", None, None]
    assert block.rows.column("id").to_pylist() == [1, 2, 3, 4, 5]
    assert {at: error.message for at, error in block.errors.items()} == dict.fromkeys(
        (1, 4), "column 't': the text is not UTF-8"
    )


@pytest.mark.parametrize("compression", ["none", "snappy"])
@hypothesis_settings(max_examples=100)
@given(data=st.data())
def test_whatever_bytes_are_damaged_there_are_as_many_rows(
    compression: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "x.parquet"
    table = pa.table(
        {
            "id": list(range(200)),
            "t": [f"text {at}" for at in range(200)],
            "l": [[at, at + 1] for at in range(200)],
            "d": pa.array(["a", "b"] * 100).dictionary_encode(),
        }
    )
    pq.write_table(table, path, row_group_size=50, compression=compression)
    content = bytearray(path.read_bytes())
    pages = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    for at, value in data.draw(st.lists(st.tuples(st.integers(4, pages - 1), st.integers(0, 255)), max_size=20)):
        content[at] = value
    path.write_bytes(content)
    found = list(blocks(STORAGE, str(path)))
    assert sum(len(block.rows.to_pylist()) for block in found) == 200
    assert all(error.step == "read" for error in errors(found).values())


def test_a_file_without_a_footer_is_an_error_that_names_it(tmp_path: Path, storage: Storage) -> None:
    for name in "ab":
        pq.write_table(pa.table({"x": [1]}), tmp_path / f"{name}.parquet")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 but not really PAR1")
    with pytest.raises(OSError, match=r"b\.parquet"):
        rows(storage, str(tmp_path))


def test_a_file_that_is_gone_is_an_error_that_names_it(tmp_path: Path, storage: Storage) -> None:
    shard = Shard(0, (Slice(str(tmp_path / "gone.parquet"), 10, "1"),))
    with pytest.raises(FileNotFoundError, match=r"gone\.parquet"):
        list(read_shard(storage, format="parquet", schema=pa.schema([("x", pa.int64())]), shard=shard))


def test_a_file_that_changed_since_planning_stops_the_reading(tmp_path: Path, storage: Storage) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": [1]}), path)
    source = open_files(storage, path)
    (shard,) = plan_shards(storage, source, ShardPolicy())
    pq.write_table(pa.table({"x": [1, 2, 3]}), path)
    with pytest.raises(ConflictError, match=r"x\.parquet changed since it was planned"):
        list(read_shard(storage, format="parquet", schema=source.schema, shard=shard))


def test_columns_are_matched_by_name_in_any_order_and_case_and_cast(tmp_path: Path, storage: Storage) -> None:
    pq.write_table(pa.table({"a": [1.5], "b": ["x"]}), tmp_path / "0.parquet")
    pq.write_table(
        pa.table({"B": pa.array(["y"]).dictionary_encode(), "more": [0], "a": pa.array([2], pa.int32())}),
        tmp_path / "1.parquet",
    )
    assert rows(storage, str(tmp_path)) == [{"a": 1.5, "b": "x"}, {"a": 2.0, "b": "y"}]


@pytest.mark.parametrize(
    ("second", "names"),
    [({"b": [1]}, "no column 'a'"), ({"a": ["text"]}, "column 'a'"), ({"a": [1.5]}, "column 'a'")],
)
def test_a_file_that_does_not_fit_the_plan_is_refused(
    tmp_path: Path, storage: Storage, second: dict[str, Any], names: str
) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "0.parquet")
    pq.write_table(pa.table(second), tmp_path / "1.parquet")
    with pytest.raises(SchemaError, match=rf"1\.parquet.*{names}"):
        rows(storage, str(tmp_path))


def test_columns_that_may_not_be_null_become_columns_that_may(tmp_path: Path, storage: Storage) -> None:
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False)])
    pq.write_table(pa.table({"a": list(range(10))}, schema=schema), tmp_path / "x.parquet")
    damaged(tmp_path / "x.parquet", [0])
    (block,) = blocks(storage, str(tmp_path))
    assert block.rows.column("a").null_count == 10


def test_thousands_of_files_of_one_row_come_in_few_blocks(tmp_path: Path, storage: Storage) -> None:
    for at in range(1, 2001):
        (tmp_path / f"{at:05}.jsonl").write_text(f'{{"id": {at}}}\n')
    found = list(blocks(storage, str(tmp_path)))
    assert [value for block in found for value in block.rows.column("id").to_pylist()] == list(range(1, 2001))
    assert len(found) <= 8


def test_blocks_keep_to_their_bound_of_bytes(tmp_path: Path, storage: Storage) -> None:
    pq.write_table(pa.table({"b": [os.urandom(10_000) for _ in range(300)]}), tmp_path / "x.parquet")
    found = list(blocks(storage, str(tmp_path), batch_bytes=100_000))
    assert sum(block.rows.num_rows for block in found) == 300
    assert all(block.rows.num_rows <= 11 for block in found)


class TestText:
    def test_quoted_line_ends_and_stray_quotes_are_values(self, tmp_path: Path, storage: Storage) -> None:
        (tmp_path / "x.csv").write_text('id,t\n1,"two\nlines, and a comma"\n2,5" pipe\n3,"he said ""hi"""\n')
        assert [row["t"] for row in rows(storage, str(tmp_path))] == [
            "two\nlines, and a comma",
            '5" pipe',
            'he said "hi"',
        ]

    def test_a_bad_row_is_named_by_its_line(self, tmp_path: Path, storage: Storage) -> None:
        path = tmp_path / "x.csv"
        path.write_text('id,t\n1,"two\nlines"\n2,b\n3,c,d\n4,e\n')
        found = list(blocks(storage, str(path)))
        assert {at: error.reference for at, error in errors(found).items()} == {2: f"{path}:5"}
        assert [row["id"] for block in found for row in block.rows.to_pylist()] == [1, 2, None, 4]

    def test_values_of_a_bad_row_that_do_fit_are_kept(self, tmp_path: Path, storage: Storage) -> None:
        (tmp_path / "0.csv").write_text("id,price,t\n1,2.5,a\n")
        (tmp_path / "1.csv").write_text("t,price,id\nb,cheap,2\nc,3.5,3\n")
        found = list(blocks(storage, str(tmp_path)))
        assert [row for block in found for row in block.rows.to_pylist()] == [
            {"id": 1, "price": 2.5, "t": "a"},
            {"id": 2, "price": None, "t": "b"},
            {"id": 3, "price": 3.5, "t": "c"},
        ]
        (error,) = errors(found).values()
        assert "'price'" in error.message
        assert "'cheap'" in error.message

    def test_bytes_that_are_no_text_fail_their_row(self, tmp_path: Path, storage: Storage) -> None:
        (tmp_path / "0.csv").write_text("t\na\n")
        (tmp_path / "1.csv").write_bytes(b"t\nb\n\xff\xfe\nc\n")
        found = list(blocks(storage, str(tmp_path)))
        assert [row["t"] for block in found for row in block.rows.to_pylist()] == ["a", "b", None, "c"]
        assert set(errors(found)) == {1}

    def test_large_files_with_bad_rows_in_several_blocks(self, tmp_path: Path, storage: Storage) -> None:
        count = 400_000
        bad = {5, 150_000, 150_001, count - 1}
        (tmp_path / "0.csv").write_text("id,x,t\n0,0.5,a\n")
        with (tmp_path / "1.csv").open("w") as file:
            file.write("id,x,t\n")
            for at in range(count):
                file.write(f"{at},{at}.5,{'some text to fill the line' * 2}{',' if at in bad else ''}\n")
        found = list(blocks(storage, str(tmp_path)))
        ids = [value for block in found for value in block.rows.column("id").to_pylist()]
        assert ids == [0, *(at if at not in bad else None for at in range(count))]
        assert set(errors(found)) == bad

    @pytest.mark.parametrize("ending", ["", "\n", "\n\n"])
    @pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.csv.gz"])
    def test_the_last_line_may_end_or_not(self, tmp_path: Path, storage: Storage, name: str, ending: str) -> None:
        text = f"a,b\n1,x\n2,y{ending}".replace(",", "\t" if "tsv" in name else ",").encode()
        (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
        assert rows(storage, str(tmp_path)) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]

    @pytest.mark.parametrize("text", ["a,b", "a,b\n", "\n\na,b\n"])
    def test_a_header_alone_is_no_row(self, tmp_path: Path, storage: Storage, text: str) -> None:
        (tmp_path / "x.csv").write_text(text)
        assert open_files(storage, tmp_path).schema == pa.schema([("a", pa.string()), ("b", pa.string())])
        assert rows(storage, str(tmp_path)) == []

    def test_a_damaged_archive_is_an_error_that_names_it(self, tmp_path: Path, storage: Storage) -> None:
        content = gzip.compress(b"a\n" + b"".join(b"%d\n" % at for at in range(3_000_000)), 1)
        (tmp_path / "x.csv.gz").write_bytes(content[: len(content) - 1000])
        with pytest.raises(OSError, match=r"x\.csv\.gz"):
            rows(storage, str(tmp_path))

    def test_empty_and_absent_values_of_json_are_null_and_empty_lines_no_rows(
        self, tmp_path: Path, storage: Storage
    ) -> None:
        (tmp_path / "x.jsonl").write_text('{"a": 1, "b": null}\n\n  \n{"b": "x"}\n{"a": 2}')
        assert rows(storage, str(tmp_path)) == [{"a": 1, "b": None}, {"a": None, "b": "x"}, {"a": 2, "b": None}]

    @pytest.mark.parametrize(
        "line", ["null", "5", '{"a": 1} {"a": 2}', '{"a": 1} null', '{"a": 1, "a": "x"}', "{", "[{}]"]
    )
    def test_a_line_that_is_no_object_fails_alone(self, tmp_path: Path, storage: Storage, line: str) -> None:
        (tmp_path / "0.jsonl").write_text('{"a": 0}\n')
        (tmp_path / "1.jsonl").write_text(f"{line}\n")
        (tmp_path / "2.jsonl").write_text(f'{{"a": 1}}\n{line}\n{{"a": 2}}\n')
        found = list(blocks(storage, str(tmp_path), policy=ShardPolicy(parallelism=1, max_files=3)))
        assert [row["a"] for block in found for row in block.rows.to_pylist()] == [0, None, 1, None, 2]
        assert sorted(error.reference for block in found for error in block.errors.values()) == [
            f"{tmp_path}/1.jsonl:1",
            f"{tmp_path}/2.jsonl:2",
        ]

    def test_columns_of_no_one_shape_are_read_as_json_text(self, tmp_path: Path, storage: Storage) -> None:
        lines = [{"id": 1, "m": "hello"}, {"id": 2, "m": [{"role": "user"}]}, {"id": 3, "m": {"x": "ü"}}]
        (tmp_path / "x.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        found = list(blocks(storage, str(tmp_path)))
        got = [row["m"] for block in found for row in block.rows.to_pylist()]
        assert errors(found) == {}
        assert [got[0], json.loads(got[1]), json.loads(got[2])] == [line["m"] for line in lines]


@pytest.mark.parametrize("name", ["x.parquet", "x.csv", "x.jsonl", "x.arrow"])
def test_every_format_is_read_from_memory(storage: Storage, name: str) -> None:
    write_memory(storage, f"memory:///{name}-test/{name}", 1000)
    found = rows(storage, f"memory:///{name}-test", policy=ShardPolicy(max_rows=150))
    assert found == [{"id": at, "s": f"t{at}"} for at in range(1000)]


def write_memory(storage: Storage, location: str, count: int) -> None:
    table = pa.table({"id": list(range(count)), "s": [f"t{at}" for at in range(count)]})
    with storage.open(location, "wb") as sink:
        if location.endswith("parquet"):
            pq.write_table(table, sink, row_group_size=400)
        elif location.endswith("csv"):
            pc_csv.write_csv(table, sink)
        elif location.endswith("arrow"):
            with pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
        else:
            sink.write("".join(json.dumps(row) + "\n" for row in table.to_pylist()).encode())


def test_rows_come_back_from_s3(s3: Any) -> None:
    storage = Storage(s3.settings)
    for at in range(20):
        write_memory(storage, f"{s3.root}/in/{at:02}.parquet", 30)
    big = pa.table({"id": list(range(600_000)), "s": [os.urandom(6).hex() for _ in range(600_000)]})
    with storage.open(f"{s3.root}/in/big.parquet", "wb") as sink:
        pq.write_table(big, sink, row_group_size=100_000)
    expected = [at for _ in range(20) for at in range(30)] + list(range(600_000))
    found = [block.rows.column("id") for block in blocks(storage, f"{s3.root}/in/*.parquet")]
    assert pa.chunked_array(found).to_pylist() == expected
