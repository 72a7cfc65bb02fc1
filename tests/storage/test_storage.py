import multiprocessing
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gristmill.errors import LocationError, SpecError
from gristmill.settings import Settings
from gristmill.storage.storage import Storage

ODD_NAMES = [
    "plain.txt",
    "with space.txt",
    " leading and trailing ",
    "per%20cent%.txt",
    "hash#tag.txt",
    "question?mark.txt",
    "star*.txt",
    "set[ab].txt",
    "plus+amp&eq=.txt",
    "colon::twice.txt",
    "grüße-日本-🌾.txt",
    "quote'\"quote.txt",
    "~tilde.txt",
    "a-b.txt",
    "a/b.txt",
    "a/b/c d/e.txt",
    "a.b",
]


@pytest.fixture(params=["local", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Storage, str]:
    """A storage and an empty location on it."""
    if request.param == "s3":
        server = request.getfixturevalue("s3")
        return Storage(server.settings), f"{server.root}/base"
    storage = request.getfixturevalue("storage")
    if request.param == "local":
        return storage, str(tmp_path / "base")
    return storage, storage.resolve(f"memory://{tmp_path}/base")


def test_what_is_written_is_read_listed_moved_and_deleted(place: tuple[Storage, str]) -> None:
    storage, base = place
    storage.write_bytes(f"{base}/x/one", b"1")
    assert storage.read_bytes(f"{base}/x/one") == b"1"
    assert storage.exists(f"{base}/x/one")
    assert storage.exists(f"{base}/x")
    assert storage.info(f"{base}/x/one").size == 1
    storage.move(f"{base}/x/one", f"{base}/y/two")
    assert not storage.exists(f"{base}/x/one")
    assert [info.location for info in storage.list(base)] == [f"{base}/y/two"]
    storage.delete(f"{base}/y/two")
    storage.delete(f"{base}/y/two")
    assert list(storage.list(base)) == []
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(f"{base}/y/two")
    with pytest.raises(FileNotFoundError):
        storage.info(f"{base}/y/two")
    with pytest.raises(FileNotFoundError):
        storage.move(f"{base}/y/two", f"{base}/z")


def test_move_replaces_its_target(place: tuple[Storage, str]) -> None:
    storage, base = place
    storage.write_bytes(f"{base}/old", b"old")
    storage.write_bytes(f"{base}/new", b"new")
    storage.move(f"{base}/new", f"{base}/old")
    assert storage.read_bytes(f"{base}/old") == b"new"


def test_odd_names_survive_every_operation(place: tuple[Storage, str]) -> None:
    storage, base = place
    for name in ODD_NAMES:
        storage.write_bytes(f"{base}/{name}", name.encode())
    listed = list(storage.list(base))
    assert [info.location for info in listed] == sorted(f"{base}/{name}" for name in ODD_NAMES)
    for name in ODD_NAMES:
        assert storage.read_bytes(f"{base}/{name}") == name.encode()
        assert storage.info(f"{base}/{name}").size == len(name.encode())
        storage.move(f"{base}/{name}", f"{base}2/{name}")
        assert not storage.exists(f"{base}/{name}")
    storage.delete(f"{base}2/star*.txt")
    assert {info.location for info in storage.list(f"{base}2")} == {
        f"{base}2/{name}" for name in ODD_NAMES if name != "star*.txt"
    }
    storage.delete_tree(f"{base}2")
    assert list(storage.list(f"{base}2")) == []
    assert not storage.exists(f"{base}2")


def test_delete_tree_takes_names_literally_and_stops_at_its_folder(place: tuple[Storage, str]) -> None:
    storage, base = place
    for name in ("a*/x", "ab/x", "a", "ab"):
        if name not in ("a", "ab"):
            storage.write_bytes(f"{base}/{name}", b"x")
    storage.write_bytes(f"{base}/a*x", b"x")
    storage.delete_tree(f"{base}/a*")
    assert [info.location for info in storage.list(base)] == [f"{base}/a*x", f"{base}/ab/x"]
    storage.delete_tree(f"{base}/a*")
    storage.delete_tree(f"{base}/a*x")
    assert [info.location for info in storage.list(base)] == [f"{base}/ab/x"]


def test_delete_tree_removes_more_files_than_one_request_can(s3) -> None:
    storage = Storage(s3.settings)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: storage.write_bytes(f"{s3.root}/t/{i:04}", b""), range(1_050)))
    storage.delete_tree(f"{s3.root}/t")
    assert list(storage.list(s3.root)) == []


def test_of_many_threads_exactly_one_creates(place: tuple[Storage, str]) -> None:
    storage, base = place
    start = threading.Barrier(16)

    def create(number: int) -> int | None:
        start.wait()
        try:
            storage.write_bytes(f"{base}/claim", b"%d" % number, exclusive=True)
        except FileExistsError:
            return None
        return number

    with ThreadPoolExecutor(16) as pool:
        winners = [number for number in pool.map(create, range(16)) if number is not None]
    assert len(winners) == 1
    assert storage.read_bytes(f"{base}/claim") == b"%d" % winners[0]
    assert [info.location for info in storage.list(base)] == [f"{base}/claim"]


def _create_all(storage: Storage, base: str, number: int, count: int) -> list[int]:
    won = []
    for claim in range(count):
        try:
            storage.write_bytes(f"{base}/{claim}", b"%d" % number, exclusive=True)
        except FileExistsError:
            continue
        won.append(claim)
    return won


@pytest.mark.parametrize("where", ["local", "s3"])
def test_of_many_processes_exactly_one_creates(where: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if where == "s3":
        server = request.getfixturevalue("s3")
        storage, base, count = Storage(server.settings), f"{server.root}/claims", 5
    else:
        storage, base, count = request.getfixturevalue("storage"), str(tmp_path / "claims"), 100
    with multiprocessing.get_context("forkserver").Pool(3) as pool:
        won = pool.starmap(_create_all, [(storage, base, number, count) for number in range(3)], chunksize=1)
    assert sorted(claim for claims in won for claim in claims) == list(range(count))
    for number, claims in enumerate(won):
        assert all(storage.read_bytes(f"{base}/{claim}") == b"%d" % number for claim in claims)


def test_an_exclusive_write_is_not_made_where_it_cannot_be_promised(storage: Storage) -> None:
    with pytest.raises(LocationError, match="exclusively"):
        storage.write_bytes("ftp://host/file", b"", exclusive=True)


def test_another_threads_changes_are_seen_at_once(place: tuple[Storage, str]) -> None:
    storage, base = place
    storage.write_bytes(f"{base}/a", b"1")
    first = [info.location for info in storage.list(base)]
    version = storage.info(f"{base}/a").version

    def change() -> None:
        storage.write_bytes(f"{base}/a", b"12")
        storage.write_bytes(f"{base}/b", b"1")

    thread = threading.Thread(target=change)
    thread.start()
    thread.join()
    assert first == [f"{base}/a"]
    assert [info.location for info in storage.list(base)] == [f"{base}/a", f"{base}/b"]
    assert storage.exists(f"{base}/b")
    assert storage.info(f"{base}/a").size == 2
    assert storage.info(f"{base}/a").version != version


def test_a_write_stream_holds_parquet_and_arrow_reads_it_back(place: tuple[Storage, str]) -> None:
    storage, base = place
    table = pa.table({"x": list(range(1000)), "y": [None, "é"] * 500})
    with storage.open(f"{base}/sub/part 1.parquet", "wb") as file, pq.ParquetWriter(file, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=100):
            writer.write_batch(batch)
    filesystem, path = storage.arrow_filesystem(f"{base}/sub/part 1.parquet")
    assert pq.read_table(path, filesystem=filesystem).equals(table)
    with filesystem.open_input_file(path) as source:
        assert pq.ParquetFile(source, pre_buffer=True).read_row_group(3).num_rows == 100
    with pytest.raises(FileNotFoundError):
        filesystem.open_input_file(path + "x")
    with storage.open(f"{base}/sub/part 1.parquet") as file:
        assert file.read(4) == b"PAR1"


def test_two_readers_of_one_memory_file_do_not_share_a_position(storage: Storage) -> None:
    storage.write_bytes("memory:///shared/x", b"abcd")
    with storage.open("memory:///shared/x") as one, storage.open("memory:///shared/x") as two:
        assert one.read(2) == b"ab"
        assert two.read(4) == b"abcd"
        assert one.read(2) == b"cd"


def test_large_objects_are_streamed_in_parts(s3) -> None:
    storage = Storage(s3.settings)
    with storage.open(f"{s3.root}/large", "wb") as file:
        for _ in range(5):
            file.write(os.urandom(1) * 8 * 1024**2)
    assert storage.info(f"{s3.root}/large").size == 40 * 1024**2
    storage.move(f"{s3.root}/large", f"{s3.root}/moved")
    assert [(info.location, info.size) for info in storage.list(s3.root)] == [(f"{s3.root}/moved", 40 * 1024**2)]


def test_a_pickled_storage_works_as_the_first(place: tuple[Storage, str]) -> None:
    storage, base = place
    storage.write_bytes(f"{base}/a", b"a")
    assert pickle.loads(pickle.dumps(storage)).read_bytes(f"{base}/a") == b"a"


def _read(storage: Storage, location: str) -> bytes:
    return storage.read_bytes(location)


@pytest.mark.parametrize("method", ["fork", "forkserver"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_process_reads_after_its_parent_did(s3, method: str) -> None:
    storage = Storage(s3.settings)
    storage.write_bytes(f"{s3.root}/a", b"a")
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(_read, (storage, f"{s3.root}/a")) == b"a"


def test_delete_tree_does_not_follow_links(storage: Storage, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("kept")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "link").symlink_to(kept)
    (tree / "file link").symlink_to(kept / "file")
    storage.delete_tree(str(tree))
    assert not tree.exists()
    tree.symlink_to(kept)
    storage.delete_tree(str(tree))
    assert not tree.is_symlink()
    assert (kept / "file").read_text() == "kept"


def test_listing_follows_links_to_folders_but_not_in_circles(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "base" / "sub").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("")
    (tmp_path / "base" / "sub" / "file").write_text("")
    (tmp_path / "base" / "sub" / "loop").symlink_to(tmp_path / "base")
    (tmp_path / "base" / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "base" / "link").symlink_to(tmp_path / "other")
    found = [info.location for info in storage.list(str(tmp_path / "base"))]
    assert found == [f"{tmp_path}/base/link/file", f"{tmp_path}/base/sub/file"]


def test_a_listing_of_a_file_is_the_file(place: tuple[Storage, str]) -> None:
    storage, base = place
    storage.write_bytes(f"{base}/a", b"12")
    assert [(info.location, info.size) for info in storage.list(f"{base}/a")] == [(f"{base}/a", 2)]


def test_a_folder_tells_its_own_folders_and_files(place: tuple[Storage, str]) -> None:
    storage, base = place
    for name in ("b/deep/x", "a[1]/x", "z", "c d"):
        storage.write_bytes(f"{base}/{name}", b"12")
    folders, files = storage.entries(base)
    assert folders == [f"{base}/a[1]", f"{base}/b"]
    assert [(info.location, info.size) for info in files] == [(f"{base}/c d", 2), (f"{base}/z", 2)]
    assert all(info.version == storage.info(info.location).version for info in files)
    assert storage.children(base) == ["a[1]", "b", "c d", "z"]
    assert storage.children(f"{base}/nothing") == []
    assert storage.entries(f"{base}/nothing") == ([], [])
    assert storage.entries(f"{base}/z") == ([], [])


def test_secrets_stand_in_no_error_and_no_representation(settings: Settings, tmp_path: Path) -> None:
    options = {"s3": {"key": "KEYID", "secret": "HUSH-HUSH", "nonsense": "HUSH-HUSH"}, "memory": {}}
    storage = Storage(settings.model_copy(update={"storage_options": options}))
    assert "HUSH" not in repr(storage)
    assert "HUSH" not in repr(storage.settings)
    with pytest.raises(Exception, match=r".") as caught:
        storage.read_bytes("s3://bucket/key")
    assert "HUSH" not in repr(caught.value)
    with pytest.raises(SpecError, match="storage_options") as caught_spec:
        Settings.load(storage_options={"s3": "HUSH-HUSH"})
    assert "HUSH" not in str(caught_spec.value)
    with pytest.raises(SpecError, match="storage_option") as caught_spec:
        Settings.load(storage_option={"s3": {"secret": "HUSH-HUSH"}})
    assert "HUSH" not in str(caught_spec.value)


def test_an_unknown_scheme_is_named(storage: Storage) -> None:
    with pytest.raises(LocationError, match="nothere://x"):
        storage.read_bytes("nothere://x/y")
