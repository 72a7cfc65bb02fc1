import base64
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from gristmill.errors import SchemaError
from gristmill.inputs.block import Block
from gristmill.resolve.columns import ColumnResolver, is_slow
from gristmill.settings import ResolverSettings, Settings
from gristmill.spec.input import ColumnHandling
from gristmill.spec.row_error import RowError
from gristmill.storage.access import AccessPolicy
from gristmill.storage.storage import Storage

RAW = ColumnHandling(input_format="full_stage_path", convert_to="raw_bytes")
BASE64 = ColumnHandling(input_format="full_stage_path", convert_to="base64")
DATA_URL = ColumnHandling(input_format="full_stage_path", convert_to="base64_data_url")


def make_resolver(
    storage: Storage, allowed: tuple[str, ...], handling: dict | None = None, **options
) -> ColumnResolver:
    """A resolver of one raw column `file`, unless told otherwise."""
    limits = options.pop("limits", ResolverSettings(backoff=0.01))
    access = AccessPolicy(storage, allowed)
    return ColumnResolver(handling or {"file": RAW}, storage=storage, access=access, limits=limits, **options)


def make_block(columns: dict, *, shard: int = 0, start: int = 0, errors: dict | None = None) -> Block:
    """A block of rows that go to the model as they are."""
    rows = pa.RecordBatch.from_pydict(columns)
    return Block(shard, start, rows, rows, errors or {})


def cells(blocks: list, column: str = "file") -> list:
    """A column of several blocks."""
    return [cell for block in blocks for cell in block.model_rows.column(column).to_pylist()]


@pytest.fixture(params=["local", "local threads", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Storage, str, dict]:
    """A storage, an allowed location on it, and options for the resolver."""
    if request.param == "s3":
        server = request.getfixturevalue("s3")
        return Storage(server.settings), f"{server.root}/data", {}
    storage = request.getfixturevalue("storage")
    if request.param == "memory":
        return storage, f"memory://{tmp_path}/data", {}
    return storage, f"{tmp_path}/data", {"fetch_local": request.param == "local threads"}


def test_cells_become_content_and_all_else_stays(place: tuple[Storage, str, dict]) -> None:
    storage, root, options = place
    names = ["a b.png", "hash#.png", "per%20cent", "é?.x", "[set]*"]
    for name in names:
        storage.write_bytes(f"{root}/{name}", name.encode() * 10)
    resolver = make_resolver(storage, (root,), {"FILE": RAW}, **options)
    block = make_block({"id": list(range(6)), "file": [*(f"{root}/{name}" for name in names), None], "x": ["y"] * 6})
    (done,) = resolver.resolve([block])
    resolver.close()
    assert done.errors == {}
    assert done.rows.equals(block.rows)
    assert done.model_rows.schema == resolver.model_schema(block.model_rows.schema)
    assert done.model_rows.schema.names == ["id", "file", "x"]
    assert cells([done]) == [*(name.encode() * 10 for name in names), None]
    assert done.model_rows.column("x").to_pylist() == ["y"] * 6
    done.model_rows.validate(full=True)


def test_each_encoding_gives_its_own_content(place: tuple[Storage, str, dict]) -> None:
    storage, root, options = place
    png = b"\x89PNG\r\n\x1a\n" + os.urandom(1000)
    storage.write_bytes(f"{root}/x.jpg", png)
    paths = [f"{root}/x.jpg", None, f"{root}/x.jpg"]
    resolver = make_resolver(storage, (root,), {"raw": RAW, "text": BASE64, "url": DATA_URL}, **options)
    (done,) = resolver.resolve([make_block({"text": paths, "url": paths, "raw": paths})])
    resolver.close()
    text = base64.b64encode(png).decode()
    assert cells([done], "raw") == [png, None, png]
    assert cells([done], "text") == [text, None, text]
    assert cells([done], "url") == [f"data:image/png;base64,{text}", None, f"data:image/png;base64,{text}"]
    assert done.model_rows.schema == pa.schema({"text": pa.string(), "url": pa.string(), "raw": pa.binary()})
    done.model_rows.validate(full=True)


def test_a_failed_cell_is_its_rows_error_and_no_other_rows(place: tuple[Storage, str, dict]) -> None:
    storage, root, options = place
    storage.write_bytes(f"{root}/good", b"good")
    storage.write_bytes(f"{root}/large", b"x" * 200)
    bad = [
        f"{root}/missing",
        "/etc/passwd",
        "relative",
        "",
        f"{root}/../x",
        "@nothere/x",
        f"{root}/large",
        "memory://elsewhere/x",
    ]
    good = f"{root}/good"
    mixed = [cell for text in bad for cell in (good, text)]
    limits = ResolverSettings(max_file_bytes=100, backoff=0.01)
    resolver = make_resolver(storage, (root,), limits=limits, **options)
    (done,) = resolver.resolve([make_block({"file": mixed})])
    resolver.close()
    assert cells([done]) == [b"good", None] * len(bad)
    assert sorted(done.errors) == list(range(1, 2 * len(bad), 2))
    assert [done.errors[row].reference for row in sorted(done.errors)] == bad
    assert {error.step for error in done.errors.values()} == {"resolve"}
    assert [done.errors[row].type for row in sorted(done.errors)] == [
        "FileNotFoundError",
        "AccessError",
        "LocationError",
        "LocationError",
        "AccessError",
        "LocationError",
        "FileTooLargeError",
        "AccessError",
    ]


def test_a_folder_is_an_error_of_its_row(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "data" / "sub").mkdir(parents=True)
    os.mkfifo(tmp_path / "data" / "pipe")
    for fetch_local in (False, True):
        resolver = make_resolver(storage, (f"{tmp_path}/data",), fetch_local=fetch_local)
        (done,) = resolver.resolve([make_block({"file": [f"{tmp_path}/data/sub"]})])
        resolver.close()
        assert done.errors[0].type == "IsADirectoryError"


def test_rows_that_failed_before_are_left_alone(place: tuple[Storage, str, dict]) -> None:
    storage, root, options = place
    storage.write_bytes(f"{root}/a", b"a")
    before = RowError("ValueError", "bad", "read", None)
    resolver = make_resolver(storage, (root,), max_rows=2, **options)
    block = make_block(
        {"file": [f"{root}/a", f"{root}/missing", f"{root}/missing", f"{root}/a"]}, errors={1: before, 2: before}
    )
    done = list(resolver.resolve([block]))
    resolver.close()
    assert cells(done) == [b"a", None, None, b"a"]
    assert [dict(part.errors) for part in done] == [{1: before}, {0: before}]


def test_blocks_are_cut_by_rows_and_by_bytes_and_keep_their_places(place: tuple[Storage, str, dict]) -> None:
    storage, root, options = place
    for number in range(10):
        storage.write_bytes(f"{root}/{number}", b"%d" % number * 1000)
    block = make_block({"file": [f"{root}/{number}" for number in range(10)]}, shard=7, start=100)
    for cut, sizes in (({"max_rows": 4}, [4, 4, 2]), ({"target_bytes": 2500}, [3, 3, 3, 1]), ({}, [10])):
        resolver = make_resolver(storage, (root,), **cut, **options)
        done = list(resolver.resolve([block]))
        resolver.close()
        assert [part.rows.num_rows for part in done] == sizes
        assert [part.model_rows.num_rows for part in done] == sizes
        assert [part.start for part in done] == [100 + sum(sizes[:number]) for number in range(len(sizes))]
        assert {part.shard for part in done} == {7}
        assert cells(done) == [b"%d" % number * 1000 for number in range(10)]
        assert pa.Table.from_batches([part.rows for part in done]).equals(pa.Table.from_batches([block.rows]))


def test_other_items_keep_their_places(place: tuple[Storage, str, dict]) -> None:
    storage, root, options = place
    for number in range(5):
        storage.write_bytes(f"{root}/{number}", b"%d" % number)
    items: list = ["start"]
    for number in range(5):
        items += [make_block({"file": [f"{root}/{number}"] * 3}, shard=number), f"end {number}"]
    resolver = make_resolver(storage, (root,), max_rows=2, **options)
    done = list(resolver.resolve(items))
    resolver.close()
    assert [item if isinstance(item, str) else (item.shard, item.start) for item in done] == [
        "start",
        *(part for number in range(5) for part in ((number, 0), (number, 2), f"end {number}")),
    ]


def test_what_is_done_is_given_before_more_is_asked_for(place: tuple[Storage, str, dict]) -> None:
    storage, root, options = place
    storage.write_bytes(f"{root}/a", b"a")
    seen: list[str] = []
    asked = threading.Event()

    def items() -> Iterator[object]:
        yield make_block({"file": [f"{root}/a"] * 2})
        yield "end of task 1"
        # No second task before the first is done: waiting for it must not hold back the first.
        assert asked.wait(30)
        yield make_block({"file": [f"{root}/a"]})

    resolver = make_resolver(storage, (root,), **options)
    for item in resolver.resolve(items()):
        seen.append("block" if isinstance(item, Block) else item)
        if item == "end of task 1":
            asked.set()
    resolver.close()
    assert seen == ["block", "end of task 1", "block"]


def test_an_error_of_the_stream_comes_after_the_items_before_it(place: tuple[Storage, str, dict]) -> None:
    storage, root, options = place
    storage.write_bytes(f"{root}/a", b"a")

    def items() -> Iterator[object]:
        yield make_block({"file": [f"{root}/a"]})
        raise OSError("the reader broke")

    resolver = make_resolver(storage, (root,), **options)
    stream = resolver.resolve(items())
    assert cells([next(stream)]) == [b"a"]
    with pytest.raises(OSError, match="the reader broke"):
        next(stream)
    resolver.close()


def test_a_stream_left_in_the_middle_leaves_the_resolver_usable(place: tuple[Storage, str, dict]) -> None:
    storage, root, options = place
    for number in range(50):
        storage.write_bytes(f"{root}/{number}", b"%d" % number)
    blocks = [make_block({"file": [f"{root}/{number}"] * 2}) for number in range(50)]
    resolver = make_resolver(storage, (root,), **options)
    stream = resolver.resolve(blocks)
    next(stream)
    stream.close()
    assert cells(list(resolver.resolve(blocks))) == [b"%d" % (number // 2) for number in range(100)]
    resolver.close()
    resolver.close()


def test_blocks_without_rows_have_the_models_columns(place: tuple[Storage, str, dict]) -> None:
    storage, root, options = place
    rows = pa.RecordBatch.from_pydict({"file": pa.array([], pa.string())})
    resolver = make_resolver(storage, (root,), **options)
    (done,) = resolver.resolve([Block(0, 0, rows, rows)])
    resolver.close()
    assert done.rows.num_rows == done.model_rows.num_rows == 0
    assert done.model_rows.schema == pa.schema({"file": pa.binary()})


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())],
)
def test_every_text_type_names_files(storage: Storage, tmp_path: Path, kind: pa.DataType) -> None:
    (tmp_path / "a").write_bytes(b"a")
    column = pa.array([f"{tmp_path}/a", None]).cast(kind)
    resolver = make_resolver(storage, (str(tmp_path),))
    (done,) = resolver.resolve([make_block({"file": column})])
    assert cells([done]) == [b"a", None]


def test_wrong_columns_are_refused_by_name(storage: Storage) -> None:
    resolver = make_resolver(storage, (), {"Image": RAW})
    with pytest.raises(SchemaError, match=r"no column 'Image'; it has: a, b"):
        resolver.model_schema(pa.schema({"a": pa.string(), "b": pa.string()}))
    with pytest.raises(SchemaError, match=r"'Image' has type int64; file columns hold paths as text"):
        resolver.model_schema(pa.schema({"image": pa.int64()}))
    with pytest.raises(SchemaError, match=r"'Image' could be image or IMAGE"):
        resolver.model_schema(pa.schema({"image": pa.string(), "IMAGE": pa.string()}))
    assert resolver.model_schema(pa.schema({"x": pa.int8(), "IMAGE": pa.null()})) == pa.schema(
        {"x": pa.int8(), "IMAGE": pa.binary()}
    )


def test_files_that_may_pass_two_gigabytes_have_large_types(storage: Storage) -> None:
    limits = ResolverSettings(max_file_bytes=3 * 1024**3)
    resolver = make_resolver(storage, (), {"a": RAW, "b": BASE64}, limits=limits)
    schema = resolver.model_schema(pa.schema({"a": pa.string(), "b": pa.string()}))
    assert schema == pa.schema({"a": pa.large_binary(), "b": pa.large_string()})


def test_large_types_hold_content(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"xyz")
    limits = ResolverSettings(max_file_bytes=3 * 1024**3)
    resolver = make_resolver(storage, (str(tmp_path),), {"a": RAW, "b": BASE64}, limits=limits)
    (done,) = resolver.resolve([make_block({"a": [f"{tmp_path}/x", None], "b": [None, f"{tmp_path}/x"]})])
    done.model_rows.validate(full=True)
    assert (cells([done], "a"), cells([done], "b")) == ([b"xyz", None], [None, "eHl6"])


def test_files_of_many_sizes_are_whole(place: tuple[Storage, str, dict]) -> None:
    storage, root, options = place
    sizes = [0, 1, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 1024**2, 1024**2 + 64 * 1024, 3 * 1024**2, 5, 0]
    content = [os.urandom(size) for size in sizes]
    for number, data in enumerate(content):
        storage.write_bytes(f"{root}/{number}", data)
    paths = [f"{root}/{number}" for number in range(len(sizes))]
    resolver = make_resolver(storage, (root,), **options)
    for _ in range(2):  # the second time with the first one's sizes in mind
        assert cells(list(resolver.resolve([make_block({"file": paths + paths})]))) == content + content
    resolver.close()


def test_a_link_out_is_refused_and_a_link_within_is_read(storage: Storage, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (data / "real").write_bytes(b"real")
    (data / "in").symlink_to(data / "real")
    (data / "out").symlink_to(tmp_path / "secret")
    for fetch_local in (False, True):
        resolver = make_resolver(storage, (str(data),), fetch_local=fetch_local)
        (done,) = resolver.resolve([make_block({"file": [f"{data}/in", f"{data}/out"]})])
        resolver.close()
        assert cells([done]) == [b"real", None]
        assert done.errors[1].type == "AccessError"


def test_stage_references_are_read(s3) -> None:
    Storage(s3.settings).write_bytes(f"{s3.root}/a/b.png", b"png")
    resolver = make_resolver(Storage(s3.settings), ())
    (done,) = resolver.resolve([make_block({"file": ["@DB.Public.BUCKET/a/b.png", "s3://other/x"]})])
    resolver.close()
    assert cells([done]) == [b"png", None]
    assert done.errors[1].type == "AccessError"


def test_slow_disks_are_told_from_large_files() -> None:
    assert is_slow(5.0, files=1_000, size=1_000_000)
    assert not is_slow(5.0, files=100_000, size=1_000_000)
    assert not is_slow(1.0, files=100, size=1_000_000_000)


def test_secrets_stand_in_no_row_error(s3) -> None:
    options = {"s3": {"endpoint_url": s3.endpoint_url, "key": "KEYID", "secret": "HUSH", "token": "HUSH-TOKEN"}}
    storage = Storage(Settings.load(storage_options=options, stages={"b": s3.root}))
    resolver = make_resolver(storage, (), limits=ResolverSettings(attempts=1))
    (done,) = resolver.resolve([make_block({"file": ["@b/missing"]})])
    resolver.close()
    assert done.errors[0].type in ("FileNotFoundError", "PermissionError")
    assert "HUSH" not in repr(done.errors)
