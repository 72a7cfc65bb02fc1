"""Locations and globs become files with a format and columns."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gristmill.errors import EmptyInputError, LocationError, SchemaError, SpecError
from gristmill.inputs.files import open_files
from gristmill.settings import Settings
from gristmill.storage.storage import Storage

NAMES = [
    "a.csv",
    "b/day=1/x.csv",
    "b/day=1/y.csv",
    "b/day=2/x.csv",
    "b/_SUCCESS",
    "b/_gristmill/job/parts/x.csv",
    "b/.hidden/x.csv",
    "b/day=2/.crc",
    "c[1]/x.csv",
]


@pytest.fixture(params=["local", "memory", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Storage, str]:
    """A folder with files, on each kind of storage."""
    if request.param == "s3":
        s3 = request.getfixturevalue("s3")
        storage, location = Storage(s3.settings), f"{s3.root}/data"
    else:
        storage = Storage(request.getfixturevalue("settings"))
        location = str(tmp_path / "data") if request.param == "local" else f"memory:///{tmp_path.name}/data"
    for name in NAMES:
        storage.write_bytes(f"{location}/{name}", b"a,b\n1,2\n")
    return storage, location


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("", ["a.csv", "b/day=1/x.csv", "b/day=1/y.csv", "b/day=2/x.csv", "c[1]/x.csv"]),
        ("a.csv", ["a.csv"]),
        ("b", ["b/day=1/x.csv", "b/day=1/y.csv", "b/day=2/x.csv"]),
        ("*.csv", ["a.csv"]),
        ("?.csv", ["a.csv"]),
        ("b/*", ["b/day=1/x.csv", "b/day=1/y.csv", "b/day=2/x.csv"]),
        ("b/day=[2-9]", ["b/day=2/x.csv"]),
        ("b/day=[!2]", ["b/day=1/x.csv", "b/day=1/y.csv"]),
        ("*/day=1/*.csv", ["b/day=1/x.csv", "b/day=1/y.csv"]),
        ("**/x.csv", ["b/day=1/x.csv", "b/day=2/x.csv", "c[1]/x.csv"]),
        ("b/**", ["b/day=1/x.csv", "b/day=1/y.csv", "b/day=2/x.csv"]),
        ("b/**/day=1/*", ["b/day=1/x.csv", "b/day=1/y.csv"]),
        ("b/_gristmill/*/*/*.csv", ["b/_gristmill/job/parts/x.csv"]),
        ("c[1]", ["c[1]/x.csv"]),
    ],
)
def test_locations_and_globs_find_their_files(root: tuple[Storage, str], asked: str, expected: list[str]) -> None:
    storage, location = root
    source = open_files(storage, f"{location}/{asked}")
    assert [info.location.removeprefix(location + "/") for info in source.files] == expected
    assert [info.size for info in source.files] == [8] * len(expected)
    assert all(storage.info(info.location) == info for info in source.files)
    assert source.schema == pa.schema([("a", pa.int64()), ("b", pa.int64())])


@pytest.mark.parametrize("asked", ["none", "*.parquet", "none/**", "b/_SUCCESS/*", "b/*/*/*"])
def test_no_files_are_an_error_that_says_where_it_looked(root: tuple[Storage, str], asked: str) -> None:
    storage, location = root
    with pytest.raises(EmptyInputError, match="holds no files; looked for") as caught:
        open_files(storage, f"{location}/{asked}")
    assert f"{location}/{asked}" in str(caught.value)


def test_a_stage_is_a_location(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a\n1\n")
    storage = Storage(Settings(stages={"db.s.in": str(tmp_path)}))
    assert open_files(storage, "@DB.S.IN/x.csv").location == str(tmp_path / "x.csv")
    with pytest.raises(LocationError, match="@other"):
        open_files(storage, "@other/x.csv")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.csv", "b.parquet"], r"several formats.*a\.csv is csv, .*b\.parquet is parquet"),
        (["a.csv", "b"], "tells of no format"),
        (["a.parquet.gz"], "tells of no format"),
    ],
)
def test_a_mix_of_formats_is_refused(tmp_path: Path, storage: Storage, names: list[str], message: str) -> None:
    for name in names:
        (tmp_path / name).write_text("a\n")
    with pytest.raises(SpecError, match=message):
        open_files(storage, tmp_path)


def test_a_format_can_be_given(tmp_path: Path, storage: Storage) -> None:
    (tmp_path / "part-0").write_text('{"a": 1}\n')
    assert open_files(storage, tmp_path, format="jsonl").schema.names == ["a"]
    with pytest.raises(SpecError, match=r"format: 'xlsx'.*parquet, csv, jsonl, arrow"):
        open_files(storage, tmp_path, format="xlsx")


@pytest.mark.parametrize("names", [["a", "a"], ["a", "A"]])
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_columns_that_share_a_name_are_refused(tmp_path: Path, storage: Storage, form: str, names: list[str]) -> None:
    if form == "csv":
        (tmp_path / "x.csv").write_text(",".join(names) + "\n1,2\n")
    else:
        pq.write_table(pa.table([[1], [2]], names=names), tmp_path / "x.parquet")
    with pytest.raises(SchemaError, match="has two columns"):
        open_files(storage, tmp_path)


def test_types_of_parquet_survive_and_metadata_does_not(tmp_path: Path, storage: Storage) -> None:
    schema = pa.schema(
        [
            pa.field("d", pa.dictionary(pa.int8(), pa.string()), nullable=False),
            pa.field("m", pa.decimal128(20, 4), metadata={"x": "y"}),
            pa.field("t", pa.timestamp("ns", "Europe/Zurich")),
            pa.field("s", pa.struct([("a", pa.list_(pa.string()))])),
            pa.field("v", pa.string_view()),
        ],
        metadata={"pandas": "{}"},
    )
    pq.write_table(schema.empty_table(), tmp_path / "x.parquet")
    found = open_files(storage, tmp_path).schema
    assert found.types == [*schema.types[:4], pa.string()]
    assert all(field.nullable for field in found)
    assert found.metadata is None
    assert found.field("m").metadata is None


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("x.csv", "a,b,c\n1,,2024-01-01\n2,,2024-01-02\n", [pa.int64(), pa.string(), pa.date32()]),
        ("x.tsv", "a\tb\n1.5\tx,y\n", [pa.float64(), pa.string()]),
        ("x.csv", "a,b\n1,2\n1,2,3\n", [pa.int64(), pa.int64()]),
        ("x.ndjson", '{"a": null, "b": [null]}\n', [pa.string(), pa.list_(pa.string())]),
        ("x.json", '{"a": 1}\nnot json\n{"b": "x"}\n', [pa.int64(), pa.string()]),
        ("x.jsonl", '{"a": 1, "b": "x"}\n{"a": 2, "b": [1]}\n', [pa.int64(), pa.string()]),
    ],
)
def test_types_of_text_are_told_by_its_beginning(
    tmp_path: Path, storage: Storage, name: str, text: str, expected: list[Any]
) -> None:
    (tmp_path / name).write_text(text)
    assert open_files(storage, tmp_path).schema.types == expected


def test_json_that_is_not_lines_is_refused(tmp_path: Path, storage: Storage) -> None:
    (tmp_path / "x.json").write_text('[\n{"a": 1},\n{"a": 2}\n]\n')
    with pytest.raises(OSError, match="holds a JSON array; write one object on each line"):
        open_files(storage, tmp_path)


def test_the_digest_changes_with_the_files(tmp_path: Path, storage: Storage) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    first = open_files(storage, tmp_path).digest()
    assert open_files(storage, tmp_path).digest() == first
    (tmp_path / "b.csv").write_text("a\n1\n")
    assert open_files(storage, tmp_path).digest() != first
