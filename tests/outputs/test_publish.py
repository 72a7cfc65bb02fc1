"""Publishing, on every storage: all or nothing, in order, one owner."""

import dataclasses
import itertools
from pathlib import Path

import pyarrow as pa
import pytest

from gristmill.errors import ConflictError, LocationError, OutputError, OutputExistsError, SchemaError
from gristmill.outputs.claim import claim_location
from gristmill.outputs.commit import Commit
from gristmill.outputs.layout import SENTINEL, parts_of
from gristmill.outputs.manifest import read_manifest
from gristmill.outputs.part import PartWriter
from gristmill.outputs.publish import publish
from gristmill.outputs.read import open_output, read_output
from gristmill.outputs.schema import schema_digest
from gristmill.spec.enums import SaveMode
from gristmill.storage.location import is_local, join
from gristmill.storage.storage import Storage
from tests.outputs.conftest import Somewhere
from tests.outputs.work import SCHEMA, Work, assert_output, dead, files, header, live


def test_the_location_holds_the_parts_in_order_and_the_sentinel_only(place: Somewhere) -> None:
    work = Work(place.storage, place.location, "job-a", shards=12).do()
    manifest = work.publish(SaveMode.ERROR)
    assert manifest == read_manifest(place.storage, place.location)
    assert [file.rows for file in manifest.files] == [2] * 12
    assert (manifest.rows, manifest.errors, manifest.tokens) == (24, 0, {"prompt": 36})
    assert [(column.name, column.type) for column in manifest.columns] == [("job", "string"), ("row", "int64")]
    assert_output(work)


def test_partitions_have_other_numbers_of_rows_in_the_output(place: Somewhere) -> None:
    work = Work(place.storage, place.location, "job-a").do()
    first, second, _ = work.log.in_order(3)
    commits = [
        first._replace(rows=10, partitions=4, written=2),
        second._replace(rows=1, partitions=1, written=2),
        Commit(2, 0, 5, None, 0, 0, "", last=True, partitions=2, written=0),
    ]
    claim = claim_location(place.storage, place.location, job="job-a", generation=1, home="/home", is_live=dead)
    manifest = publish(
        place.storage, place.location, claim, commits, shards=3, staging=work.staging, mode=SaveMode.ERROR,
        header=header("job-a"),
    )  # fmt: skip
    assert (manifest.rows, manifest.input_rows, manifest.partitions) == (4, 16, 7)
    assert [file.rows for file in manifest.files] == [2, 2]
    assert read_output(place.storage, place.location)["row"].to_pylist() == [0, 1, 2, 3]


def test_publishing_again_changes_nothing(place: Somewhere) -> None:
    work = Work(place.storage, place.location, "job-a").do()
    first = work.publish(SaveMode.ERROR)
    assert work.publish(SaveMode.ERROR, generation=2) == first
    assert_output(work)


def test_overwrite_replaces_everything_that_was_there(place: Somewhere) -> None:
    Work(place.storage, place.location, "job-a", shards=5).do().publish()
    place.storage.write_bytes(join(place.location, "year=2024/other.csv"), b"a\n")
    new = Work(place.storage, place.location, "job-b").do()
    new.publish(SaveMode.OVERWRITE)
    assert_output(new)
    if is_local(place.location):
        assert not Path(place.location, "year=2024").exists()


def test_error_mode_touches_nothing_and_says_how_many_files_there_are(place: Somewhere) -> None:
    old = Work(place.storage, place.location, "job-a").do()
    old.publish()
    before = files(place.storage, place.location)
    new = Work(place.storage, place.location, "job-b").do()
    with pytest.raises(OutputExistsError, match="holds 4 files"):
        new.publish(SaveMode.ERROR)
    assert files(place.storage, place.location, private=False) == before
    assert_output(old, alone=False)


def test_another_tools_empty_sentinel_is_replaced_by_overwrite(place: Somewhere) -> None:
    place.storage.write_bytes(join(place.location, SENTINEL), b"")
    place.storage.write_bytes(join(place.location, "part-00000-spark.snappy.parquet"), b"PAR1")
    work = Work(place.storage, place.location, "job-a").do()
    work.publish(SaveMode.OVERWRITE)
    assert_output(work)


def test_a_link_is_removed_and_what_it_points_to_stays(storage: Storage, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious.txt").write_text("keep me")
    work = Work(storage, str(tmp_path / "out"), "job-a").do()
    Path(work.location, "link").symlink_to(elsewhere)
    Path(work.location, "broken").symlink_to(tmp_path / "nowhere")
    work.publish(SaveMode.OVERWRITE)
    assert_output(work)
    assert (elsewhere / "precious.txt").read_text() == "keep me"
    assert not Path(work.location, "link").is_symlink()


def test_rows_that_nobody_committed_stop_it_before_anything_is_touched(place: Somewhere) -> None:
    old = Work(place.storage, place.location, "job-a").do()
    old.publish()
    new = Work(place.storage, place.location, "job-b").do()
    lacking = dataclasses.replace(new, shards=4)
    with pytest.raises(OutputError, match="shard 3 of 4"):
        lacking.publish()
    assert_output(old, alone=False)


def test_a_committed_part_that_is_gone_stops_it_before_anything_is_touched(place: Somewhere) -> None:
    old = Work(place.storage, place.location, "job-a").do()
    old.publish()
    new = Work(place.storage, place.location, "job-b").do()
    place.storage.delete(join(parts_of(new.staging), "1.parquet"))
    with pytest.raises(OutputError, match=r"1\.parquet.*missing"):
        new.publish()
    assert_output(old, alone=False)


def test_staging_must_stand_at_the_location(place: Somewhere) -> None:
    work = Work(place.storage, place.location, "job-a").do()
    claim = claim_location(place.storage, place.location, job="job-a", generation=1, home="/", is_live=dead)
    with pytest.raises(LocationError, match="_gristmill"):
        publish(
            place.storage, place.location, claim, [], shards=0, staging=join(work.staging, "deeper"),
            mode=SaveMode.ERROR, header=header("job-a"),
        )  # fmt: skip


def _commit(place: Somewhere, work: Work, shard: int, table: pa.Table) -> Commit:
    name = f"part{shard}.parquet"
    with PartWriter(place.storage, join(parts_of(work.staging), name), table.schema) as part:
        for batch in table.to_batches():
            part.write(batch)
        size = part.close().bytes
    return Commit(shard, 0, table.num_rows, name, size, 0, schema_digest(table.schema), last=True)


def _publish(place: Somewhere, work: Work, commits: list[Commit], schema: pa.Schema | None = None) -> None:
    claim = claim_location(place.storage, place.location, job=work.job, generation=1, home="/", is_live=dead)
    publish(
        place.storage, place.location, claim, commits, shards=len(commits), staging=work.staging, mode=SaveMode.ERROR,
        header=header(work.job), schema=schema,
    )  # fmt: skip


def test_parts_of_other_types_are_given_the_types_that_hold_all(place: Somewhere) -> None:
    work = Work(place.storage, place.location, "job-a")
    tables = [
        pa.table({"x": [1, 2], "y": pa.nulls(2), "z": pa.array([1, 2], pa.int64())}),
        pa.table({"x": [3, 4], "y": ["a", None], "z": pa.array([0.5, None], pa.float64())}),
    ]
    _publish(place, work, [_commit(place, work, shard, table) for shard, table in enumerate(tables)])
    output = read_output(place.storage, place.location)
    assert output.to_pydict() == {"x": [1, 2, 3, 4], "y": [None, None, "a", None], "z": [1.0, 2.0, 0.5, None]}
    assert output.schema.types == [pa.int64(), pa.string(), pa.float64()]


def test_parts_take_the_schema_that_is_asked_for(place: Somewhere) -> None:
    work = Work(place.storage, place.location, "job-a")
    commits = [_commit(place, work, 0, pa.table({"x": [1], "y": pa.nulls(1)}))]
    wanted = pa.schema({"x": pa.int64(), "y": pa.list_(pa.float32()), "_error": pa.string()})
    _publish(place, work, commits, wanted)
    assert read_output(place.storage, place.location).schema.equals(wanted)


def test_a_column_that_the_schema_lacks_is_never_dropped(place: Somewhere) -> None:
    work = Work(place.storage, place.location, "job-a")
    commits = [_commit(place, work, 0, pa.table({"x": [1], "y": [2]}))]
    with pytest.raises(SchemaError, match=r"part0\.parquet.*'y'"):
        _publish(place, work, commits, pa.schema({"x": pa.int64()}))


def test_rows_without_a_part_are_not_an_output(place: Somewhere) -> None:
    work = Work(place.storage, place.location, "job-a")
    with pytest.raises(OutputError, match="shard 0 of 1"):
        _publish(place, work, [Commit(0, 0, 5, None, 0, 0, "", last=True)], SCHEMA)


def test_types_with_nothing_in_common_are_refused(place: Somewhere) -> None:
    work = Work(place.storage, place.location, "job-a")
    tables = [pa.table({"y": [1]}), pa.table({"y": [{"a": 1}]})]
    with pytest.raises(SchemaError, match="signature"):
        _publish(place, work, [_commit(place, work, shard, table) for shard, table in enumerate(tables)])
    assert not place.storage.exists(join(place.location, SENTINEL))


def test_no_rows_are_an_output_too_with_its_columns(place: Somewhere) -> None:
    work = Work(place.storage, place.location, "job-a")
    _publish(place, work, [Commit(0, 0, 0, None, 0, 0, "", last=True)], SCHEMA)
    assert read_output(place.storage, place.location).schema.equals(SCHEMA)
    assert read_manifest(place.storage, place.location).rows == 0
    assert len(files(place.storage, place.location)) == 2


def test_no_rows_and_no_columns_are_an_output_too(place: Somewhere) -> None:
    work = Work(place.storage, place.location, "job-a")
    _publish(place, work, [])
    assert read_output(place.storage, place.location).num_rows == 0
    assert open_output(place.storage, place.location).count_rows() == 0


class Killed(BaseException):
    """Ends a publication as a kill does: nothing catches it."""


class Failing(Storage):
    """Storage that dies before its n-th change."""

    def __init__(self, storage: Storage, n: int) -> None:
        super().__init__(storage.settings)
        self.left = n

    def _change(self) -> None:
        self.left -= 1
        if self.left <= 0:
            raise Killed

    def write_bytes(self, location: str, data: bytes, *, exclusive: bool = False) -> None:
        self._change()
        super().write_bytes(location, data, exclusive=exclusive)

    def delete(self, location: str) -> None:
        self._change()
        super().delete(location)

    def delete_tree(self, location: str) -> None:
        self._change()
        super().delete_tree(location)

    def move(self, source: str, target: str) -> None:
        self._change()
        if not is_local(source):
            filesystem = self.filesystem(source)
            filesystem.cp_file(self.path(source), self.path(target))
            self._change()
        super().move(source, target)


@pytest.mark.parametrize("mode", SaveMode)
def test_dying_at_any_request_leaves_the_old_output_or_after_a_resume_the_new_one(
    place: Somewhere, mode: SaveMode
) -> None:
    for n in itertools.count(1):
        there = Somewhere(place.storage, f"{place.location}{n}")
        old = Work(there.storage, there.location, "job-old", shards=1)
        if mode is SaveMode.OVERWRITE:
            old.do().publish()
        new = Work(there.storage, there.location, "job-new", shards=2).do()
        try:
            new.publish(mode, storage=Failing(there.storage, n))
        except Killed:
            if there.storage.exists(join(there.location, SENTINEL)):
                assert_output(old if read_manifest(there.storage, there.location).job == old.job else new, alone=False)
            new.publish(mode, generation=2)
            assert_output(new)
        else:
            break
    assert_output(new)
    assert n > 6


def test_a_live_owner_keeps_the_location(place: Somewhere) -> None:
    claim = claim_location(place.storage, place.location, job="job-a", generation=1, home="/", is_live=live)
    work = Work(place.storage, place.location, "job-b").do()
    with pytest.raises(ConflictError, match=r"job-a.*out"):
        work.publish(is_live=live)
    claim.assert_held()
    claim.release()
    work.publish(is_live=live)
    assert_output(work)


def test_a_dead_owner_is_replaced_and_cannot_publish_any_more(place: Somewhere) -> None:
    late = Work(place.storage, place.location, "job-a").do()
    claim = claim_location(place.storage, place.location, job="job-a", generation=1, home="/", is_live=live)
    claim_location(place.storage, place.location, job="job-b", generation=1, home="/", is_live=dead)
    with pytest.raises(ConflictError, match="job-b"):
        claim.assert_held()
    with pytest.raises(ConflictError, match="job-b"):
        publish(
            place.storage, place.location, claim, late.log.in_order(3), shards=3, staging=late.staging,
            mode=SaveMode.OVERWRITE, header=header("job-a"),
        )  # fmt: skip
    claim.release()
    assert files(place.storage, place.location, private=False) == []


def test_a_later_runner_of_the_job_takes_over_and_an_earlier_one_cannot(place: Somewhere) -> None:
    first = claim_location(place.storage, place.location, job="job-a", generation=1, home="/", is_live=live)
    second = claim_location(place.storage, place.location, job="job-a", generation=2, home="/", is_live=live)
    with pytest.raises(ConflictError, match="generation 2"):
        first.assert_held()
    with pytest.raises(ConflictError, match="generation 2"):
        claim_location(place.storage, place.location, job="job-a", generation=1, home="/", is_live=dead)
    second.assert_held()


def test_a_claim_from_before_the_last_output_is_worth_nothing(place: Somewhere) -> None:
    claim = claim_location(place.storage, place.location, job="job-a", generation=1, home="/", is_live=live)
    done = Work(place.storage, place.location, "job-b").do()
    done.publish()
    with pytest.raises(ConflictError, match="job-b"):
        claim.assert_held()
    assert_output(done)
