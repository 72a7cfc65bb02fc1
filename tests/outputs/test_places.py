"""Which places a template stands for: what is listed, and what is refused."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from gristmill.errors import LocationError, SpecError
from gristmill.outputs.places import Places
from gristmill.settings import Settings
from gristmill.spec.partition import path_of
from gristmill.storage.location import join
from gristmill.storage.storage import Storage
from tests.outputs.conftest import Somewhere


def put(storage: Storage, *locations: str) -> None:
    for location in locations:
        storage.write_bytes(join(location, "_SUCCESS"), b"")


def fields(place: Somewhere, template: str) -> list[dict[str, str]]:
    return [dict(one.fields) for one in Places(f"{place.location}/{template}").found(place.storage).places]


def test_each_field_is_a_folder(place: Somewhere) -> None:
    put(place.storage, *(f"{place.location}/{one}" for one in ("eu/2026-01-01", "eu/2026-01-02", "us/2026-01-01")))
    assert fields(place, "{region}/{date}") == [
        {"region": "eu", "date": "2026-01-01"},
        {"region": "eu", "date": "2026-01-02"},
        {"region": "us", "date": "2026-01-01"},
    ]
    assert fields(place, "eu/{date}/") == [{"date": "2026-01-01"}, {"date": "2026-01-02"}]


def test_fields_are_parts_of_names_and_folders_below_them_are_fixed(place: Somewhere) -> None:
    put(
        place.storage,
        *(f"{place.location}/{one}/out" for one in ("region=eu/day-1-v1", "region=us/day-2-v2", "other/day-3-v1")),
    )
    assert fields(place, "region={region}/day-{day}-v1/out") == [{"region": "eu", "day": "1"}]
    found = Places(f"{place.location}/region={{region}}/day-{{day}}-v1/out").found(place.storage)
    assert [one.location for one in found.places] == [f"{place.location}/region=eu/day-1-v1/out"]


def test_a_field_that_stands_twice_has_one_value(place: Somewhere) -> None:
    put(place.storage, *(f"{place.location}/{one}" for one in ("a/a-x", "a/b-x", "b/b-x")))
    assert fields(place, "{name}/{name}-x") == [{"name": "a"}, {"name": "b"}]


@pytest.mark.parametrize("partition", ["2026-01-01", "../eu", "_x", ".x", "a/b", "50%", "café", "a b|c"])
def test_partitions_come_out_of_paths_as_they_went_in(storage: Storage, tmp_path: Path, partition: str) -> None:
    put(storage, f"{tmp_path}/lake/{path_of(partition)}")
    assert [one.fields for one in Places(f"{tmp_path}/lake/{{partition}}").found(storage).places] == [
        {"partition": partition}
    ]


def test_names_that_other_tools_wrote_stand_for_themselves(storage: Storage, tmp_path: Path) -> None:
    put(storage, *(f"{tmp_path}/lake/{name}" for name in ("café", "100%", "%FF")))
    found = Places(f"{tmp_path}/lake/{{name}}").found(storage).places
    assert sorted(one.fields["name"] for one in found) == ["%FF", "100%", "café"]


def test_private_and_hidden_folders_and_files_are_no_places(place: Somewhere) -> None:
    put(place.storage, place.location, *(f"{place.location}/{one}" for one in ("a", "_gristmill", "_temporary", ".b")))
    assert fields(place, "{name}") == [{"name": "a"}]
    assert fields(place, "_{name}") == [{"name": "gristmill"}, {"name": "temporary"}]


def test_a_location_without_fields_is_one_place_whatever_is_there(place: Somewhere) -> None:
    found = Places(place.location).found(place.storage)
    assert [(one.location, one.fields) for one in found.places] == [(place.location, {})]


def test_a_folder_that_is_not_there_holds_no_places(place: Somewhere) -> None:
    assert Places(f"{place.location}/nowhere/{{name}}").found(place.storage).places == ()


def test_a_stage_is_resolved_first(settings: Settings, tmp_path: Path) -> None:
    storage = Storage(settings.model_copy(update={"stages": {"lake": f"{tmp_path}/l"}}))
    put(storage, f"{tmp_path}/l/scores/eu")
    assert [one.location for one in Places("@lake/scores/{region}").found(storage).places] == [
        f"{tmp_path}/l/scores/eu"
    ]
    with pytest.raises(LocationError, match="@gone"):
        Places("@gone/{region}").found(storage)


def test_braces_and_file_urls_are_read_as_locations_are(storage: Storage, tmp_path: Path) -> None:
    put(storage, f"{tmp_path}/a b/{{x}}/eu")
    assert [one.fields for one in Places(f"file://{tmp_path}/a%20b/{{{{x}}}}/{{r}}").found(storage).places] == [
        {"r": "eu"}
    ]


class Counting(MemoryFileSystem):
    """A filesystem that counts its listings, and fails where the path says so."""

    protocol = "counting"
    listed: list[str] = []

    def ls(self, path, **options):
        self.listed.append(path)
        if "away" in path:
            raise TimeoutError("5 s")
        if "refused" in path:
            raise PermissionError(13, "no key")
        return super().ls(path, **options)


@pytest.fixture
def counting(storage: Storage) -> Iterator[Storage]:
    fsspec.register_implementation("counting", Counting, clobber=True)
    Counting.listed.clear()
    yield storage
    Counting.store.clear()


def test_only_the_folders_above_a_field_are_listed(counting: Storage) -> None:
    regions = [f"counting://lake/r{number}" for number in range(3)]
    for region in regions:
        for day in range(20):
            put(counting, f"{region}/d{day}/out")
            counting.write_bytes(f"{region}/d{day}/out/deep/er/part.parquet", b"x")
    assert len(Places("counting://lake/{region}/{day}/out").found(counting).places) == 60
    assert len(Counting.listed) == 4


def test_a_folder_that_cannot_be_listed_hides_no_other(counting: Storage) -> None:
    put(counting, *(f"counting://lake/{region}/d" for region in ("eu", "away", "refused")))
    found = Places("counting://lake/{region}/{day}").found(counting)
    assert [one.fields["region"] for one in found.places] == ["eu"]
    assert list(found.troubles.values()) == ["TimeoutError: 5 s", "PermissionError: [Errno 13] no key"]


def test_a_first_folder_that_is_away_is_trouble_and_one_that_is_refused_is_an_error(counting: Storage) -> None:
    found = Places("counting://away/{region}").found(counting)
    assert (found.places, list(found.troubles.values())) == ((), ["TimeoutError: 5 s"])
    with pytest.raises(PermissionError, match="no key"):
        Places("counting://refused/{region}").found(counting)


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("{region}/x", "begins with a field"),
        ("/{region}/x", "begins with a field"),
        ("s3://{bucket}/x", "begins with a field"),
        ("@{stage}/x", "begins with a field"),
        ("s3://lake/{start:%Y/%m}", "has a form"),
        ("s3://lake/{region}/../x", "'..' after its first field"),
        ("s3://lake/*/{region}", r"has a '\*'"),
        ("s3://lake/{region}/_SUCCESS", "names the sentinel itself"),
        ("s3://lake/_SUCCESS", "names the sentinel itself"),
    ],
)
def test_a_template_that_cannot_be_listed_is_refused_before_anything_is_touched(location: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        Places(location)
