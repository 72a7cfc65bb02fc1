"""Rounds over many places: what lands, once, and what holds up nothing."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from gristmill.outputs.condition import SentinelCondition
from gristmill.outputs.known import Known, keys_of
from gristmill.outputs.landing import Round, go_round
from gristmill.outputs.places import Listing, Places
from gristmill.storage.location import join
from gristmill.storage.storage import Storage
from tests.outputs.conftest import Somewhere
from tests.outputs.silent import Silent
from tests.outputs.work import Work


class Watcher:
    """Goes round and round, with what it knows as text in between."""

    def __init__(self, storage: Storage, template: str, **condition: object) -> None:
        self.storage = storage
        self.places = Places(template)
        self.condition = SentinelCondition(**condition)
        self.cursor: str | None = None

    def go(self, **bounds: float) -> Round:
        known = Known.from_text(self.cursor, of="test")
        one = go_round(self.storage, self.places.found(self.storage), known, self.condition, **bounds)
        self.cursor = one.known.to_text()
        return one

    def landed(self, **bounds: float) -> list[str]:
        return [landing.place.location.rpartition("/")[2] for landing in self.go(**bounds).news]


def publish(storage: Storage, location: str, job: str = "job-a", *, generation: int = 1) -> None:
    Work(storage, location, job, shards=1).do().publish(generation=generation)


def sentinel(storage: Storage, job: str, *, shards: int = 1) -> bytes:
    """The content of a `_SUCCESS`."""
    where = f"memory:///{uuid.uuid4().hex}"
    return Work(storage, where, job, shards=shards).do().publish().to_bytes()


def foreign(storage: Storage, *locations: str, data: bytes = b"") -> None:
    for location in locations:
        storage.write_bytes(join(location, "_SUCCESS"), data)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    folder.mkdir()
    return folder


@pytest.fixture
def watcher(place: Somewhere) -> Watcher:
    return Watcher(place.storage, f"{place.location}/{{day}}")


def test_each_output_lands_once(place: Somewhere, watcher: Watcher) -> None:
    assert watcher.go().told() == "no location yet"
    publish(place.storage, f"{place.location}/1")
    publish(place.storage, f"{place.location}/2")
    first = watcher.go()
    assert [landing.place.fields for landing in first.news] == [{"day": "1"}, {"day": "2"}]
    assert first.told() == "2 locations, 2 with a _SUCCESS, 2 new"
    assert watcher.landed() == []
    publish(place.storage, f"{place.location}/3")
    assert watcher.landed() == ["3"]
    assert watcher.go().told() == "3 locations, 3 with a _SUCCESS, nothing new"


def test_an_output_that_is_published_again_lands_again(place: Somewhere, watcher: Watcher) -> None:
    publish(place.storage, f"{place.location}/1")
    (first,) = watcher.go().news
    publish(place.storage, f"{place.location}/1", "job-b", generation=2)
    (second,) = watcher.go().news
    assert second.digest != first.digest
    assert watcher.landed() == []


def test_what_is_not_finished_does_not_land(place: Somewhere, watcher: Watcher) -> None:
    Work(place.storage, f"{place.location}/1", "job-a", shards=1).do()
    place.storage.write_bytes(f"{place.location}/2/part-0.parquet", b"x")
    assert watcher.go().told() == "2 locations, none with a _SUCCESS"
    Work(place.storage, f"{place.location}/1", "job-a", shards=1).publish()
    assert watcher.landed() == ["1"]


def test_a_deleted_output_is_forgotten_and_its_successor_lands(place: Somewhere, watcher: Watcher) -> None:
    publish(place.storage, f"{place.location}/1")
    publish(place.storage, f"{place.location}/2")
    (one, _) = watcher.go().news
    place.storage.delete_tree(f"{place.location}/1")
    assert watcher.landed() == []
    assert len(Known.from_text(watcher.cursor, of="test").entries) == 1
    publish(place.storage, f"{place.location}/1", "job-b")
    (again,) = watcher.go().news
    assert again.digest != one.digest


def test_what_is_put_back_or_touched_is_the_same_landing(storage: Storage, lake: Path) -> None:
    watcher = Watcher(storage, f"{lake}/{{day}}")
    publish(storage, f"{lake}/1")
    (first,) = watcher.go().news
    os.utime(lake / "1/_SUCCESS", (1_800_000_000, 1_800_000_000))
    assert [landing.digest for landing in watcher.go().news] == [first.digest]
    publish(storage, f"{lake}/0")
    shutil.move(lake / "1", lake / "_aside")
    assert watcher.landed() == ["0"]
    shutil.move(lake / "_aside", lake / "1")
    assert [landing.digest for landing in watcher.go().news] == [first.digest]
    shutil.copytree(lake / "1", lake / "2")
    (copy,) = watcher.go().news
    assert copy.digest != first.digest


def test_a_sentinel_that_does_not_meet_the_condition_is_named_and_read_once(place: Somewhere) -> None:
    watcher = Watcher(place.storage, f"{place.location}/{{day}}", min_rows=3)
    publish(place.storage, f"{place.location}/1")
    expected = f"1 location, 1 with a _SUCCESS, nothing new; {place.location}/1: 2 rows, fewer than 3"
    assert [watcher.go().told(), watcher.go().told()] == [expected, expected]
    Work(place.storage, f"{place.location}/1", "job-b", shards=2).do().publish(generation=2)
    landed = watcher.go()
    assert [landing.sighting.manifest.rows for landing in landed.news] == [4]
    assert landed.waiting == {}


@pytest.mark.parametrize("data", [b"", b"done\n", b"\xff\x00", b'{"job": "job-a", "na'])
def test_what_is_no_manifest_lands_when_it_has_not_changed_for_a_round(
    place: Somewhere, watcher: Watcher, data: bytes
) -> None:
    foreign(place.storage, f"{place.location}/1", data=data)
    assert "looked at once more" in watcher.go().told()
    assert [watcher.landed(), watcher.landed()] == [["1"], []]


def test_a_manifest_that_is_half_written_lands_when_it_is_whole(place: Somewhere, watcher: Watcher) -> None:
    publish(place.storage, f"{place.location}/1")
    whole = place.storage.read_bytes(f"{place.location}/1/_SUCCESS")
    for size in (0, 100, 200):
        place.storage.write_bytes(f"{place.location}/1/_SUCCESS", whole[:size])
        assert watcher.landed() == []
    place.storage.write_bytes(f"{place.location}/1/_SUCCESS", whole)
    assert watcher.landed() == ["1"]


def test_a_damaged_sentinel_meets_no_condition_on_rows(place: Somewhere) -> None:
    watcher = Watcher(place.storage, f"{place.location}/{{day}}", min_rows=0)
    foreign(place.storage, f"{place.location}/1", data=b'{"rows": 5')
    watcher.go()
    assert watcher.go().waiting == {
        f"{place.location}/1": "its _SUCCESS is not a manifest, so nothing is known of min_rows"
    }


def test_a_place_of_a_fixed_name_is_watched_alike(place: Somewhere) -> None:
    watcher = Watcher(place.storage, place.location)
    assert watcher.go().told() == "1 location, none with a _SUCCESS"
    publish(place.storage, place.location)
    assert [landing.place.fields for landing in watcher.go().news] == [{}]
    assert watcher.landed() == []


def test_two_places_of_one_digest_land_once_each(storage: Storage) -> None:
    one, other = (f"memory:///collide/{number}" for number in (65152, 97779))
    assert keys_of([one])[one] == keys_of([other])[other]
    watcher = Watcher(storage, "memory:///collide/{day}")
    foreign(storage, one, other)
    assert [sorted(watcher.landed()) for _ in range(4)] == [[], ["65152", "97779"], [], []]
    storage.delete_tree(one)
    storage.write_bytes("memory:///collide/1/_SUCCESS", b"")
    watcher.go()
    assert "1" in watcher.landed()
    assert watcher.landed() == []
    storage.delete_tree("memory:///collide")


def test_a_round_reads_no_more_than_it_may_and_the_next_goes_on(storage: Storage, lake: Path) -> None:
    watcher = Watcher(storage, f"{lake}/{{day}}")
    for number in range(7):
        publish(storage, f"{lake}/{number}")
    first = watcher.go(looks=3)
    assert (len(first.news), first.left) == (3, 4)
    assert first.told() == "7 locations, 3 with a _SUCCESS, 3 new, 4 not visited yet, the next round goes on"
    assert [watcher.landed(looks=3), watcher.landed(looks=3), watcher.landed(looks=3)] == [["3", "4", "5"], ["6"], []]


def test_what_is_new_does_not_wait_for_what_is_known(storage: Storage, lake: Path) -> None:
    watcher = Watcher(storage, f"{lake}/{{day}}")
    for number in range(300):
        (lake / f"a{number:03d}").mkdir()
        (lake / f"a{number:03d}/_SUCCESS").touch()
    watcher.go(), watcher.go()
    foreign(storage, f"{lake}/z")
    assert watcher.go(seconds=0).waiting
    (lake / "a299/_SUCCESS").write_text("again")
    landed = []
    for _ in range(10):  # 64 places a round, and the one that has changed is looked at twice
        landed += watcher.landed(seconds=0)
    assert sorted(landed) == ["a299", "z"]


class Moody(MemoryFileSystem):
    """A filesystem whose mood the test sets."""

    protocol = "moody"
    mood: Callable[[str], None] = staticmethod(lambda path: None)

    def info(self, path, **options):
        Moody.mood(path)
        return super().info(path, **options)

    def ls(self, path, **options):
        Moody.mood(path)
        return super().ls(path, **options)


@pytest.fixture
def moody(storage: Storage) -> Iterator[Watcher]:
    fsspec.register_implementation("moody", Moody, clobber=True)
    for day in ("1", "2", "3"):
        foreign(storage, f"moody://lake/{day}", data=sentinel(storage, "job-a"))
    yield Watcher(storage, "moody://lake/{day}")
    Moody.mood = staticmethod(lambda path: None)
    Moody.store.clear()


def fails(part: str, error: Exception) -> Callable[[str], None]:
    def mood(path: str) -> None:
        if part in path:
            raise error

    return mood


@pytest.mark.parametrize("error", [TimeoutError("5 s"), PermissionError(13, "no key"), ValueError("odd")])
def test_a_place_that_cannot_be_looked_at_holds_up_no_other_and_is_looked_at_again(
    moody: Watcher, error: Exception
) -> None:
    Moody.mood = staticmethod(fails("/2/_SUCCESS", error))
    first = moody.go()
    assert [landing.place.fields["day"] for landing in first.news] == ["1", "3"]
    assert first.told().endswith(f"; moody://lake/2: {type(error).__name__}: {error}")
    Moody.mood = staticmethod(lambda path: None)
    assert [moody.landed(), moody.landed()] == [["2"], []]


def test_a_long_trouble_is_told_in_brief(moody: Watcher) -> None:
    Moody.mood = staticmethod(fails("/2/_SUCCESS", OSError("https://me:secret@host\n" + "x" * 5000)))
    told = moody.go().told()
    assert len(told) < 500
    assert "OSError: https://***" in told
    assert "secret" not in told


def test_a_storage_that_was_away_brings_nothing_twice(moody: Watcher) -> None:
    assert len(moody.go().news) == 3
    Moody.mood = staticmethod(fails("lake", ConnectionError("reset")))
    away = moody.go()
    assert away.told() == "no location found; moody://lake: ConnectionError: reset"
    Moody.mood = staticmethod(lambda path: None)
    assert moody.landed() == []


def test_a_storage_that_is_empty_for_a_while_brings_nothing_twice(storage: Storage, tmp_path: Path) -> None:
    watcher = Watcher(storage, f"{tmp_path}/disk/{{day}}")
    publish(storage, f"{tmp_path}/disk/1")
    watcher.go()
    (tmp_path / "disk").rename(tmp_path / "unmounted")
    assert watcher.go().places == 0
    (tmp_path / "unmounted").rename(tmp_path / "disk")
    assert watcher.landed() == []


def test_a_sentinel_that_vanishes_after_it_was_listed_is_no_trouble(storage: Storage, tmp_path: Path) -> None:
    publish(storage, f"{tmp_path}/1")
    listing = Places(f"{tmp_path}/{{day}}").found(storage)
    shutil.rmtree(tmp_path / "1")
    one = go_round(storage, listing, Known("test"), SentinelCondition())
    assert (one.news, one.troubles, one.known.entries) == ((), {}, {})


def test_where_versions_are_not_told_sentinels_are_told_by_their_content(storage: Storage) -> None:
    fsspec.register_implementation("silent", Silent, clobber=True)
    watcher = Watcher(storage, "silent://lake/{day}", min_rows=3)
    foreign(storage, "silent://lake/1", data=sentinel(storage, "job-a"))
    foreign(storage, "silent://lake/2", data=sentinel(storage, "job-b", shards=2))
    assert [watcher.landed(), watcher.landed()] == [["2"], []]
    assert watcher.go().waiting == {"silent://lake/1": "2 rows, fewer than 3"}
    foreign(storage, "silent://lake/1", data=sentinel(storage, "job-c", shards=3))
    assert [watcher.landed(), watcher.landed()] == [["1"], []]


def test_nothing_listed_is_nothing_known_anew(storage: Storage) -> None:
    known = Known("test", {1: 2})
    one = go_round(storage, Listing(), known, SentinelCondition())
    assert one.known == known
    assert one.told() == "no location yet"
