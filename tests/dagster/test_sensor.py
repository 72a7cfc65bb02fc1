"""Sensors that see outputs land: what Dagster is told of them, once, and what is refused while a sensor is defined."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from tests.conftest import S3Server
from tests.outputs.work import Work

import gristmill
from dagster_gristmill.resource import GristmillResource
from dagster_gristmill.sensor import sentinel_sensor
from gristmill import JobSpec, OutputSpec, Settings
from gristmill.errors import SpecError
from gristmill.outputs.known import Known
from gristmill.storage.storage import Storage

DAYS = dg.DailyPartitionsDefinition("2026-01-01")
REGIONS = dg.StaticPartitionsDefinition(["eu", "us"])
BOTH = dg.MultiPartitionsDefinition({"region": REGIONS, "date": DAYS})


class Ticks:
    """Ticks of a sensor, after each of which Dagster does with the result what its daemon does."""

    def __init__(
        self,
        instance: dg.DagsterInstance,
        sensor: dg.SensorDefinition,
        *assets: Any,
        stored: bool = False,
        **resource: Any,
    ) -> None:
        self.stored = stored  # one in a folder, where Dagster looks up what partitions there are
        self.instance = instance
        self.sensor = sensor
        self.defs = dg.Definitions(
            assets=assets, sensors=[sensor], resources={"gristmill": GristmillResource(**resource)}
        )
        self.cursor: str | None = None

    def tick(self) -> Any:
        context = dg.build_sensor_context(
            instance=self.instance,
            instance_ref=self.instance.get_ref() if self.stored else None,
            cursor=self.cursor,
            definitions=self.defs,
            resources={"gristmill": self.defs.resources["gristmill"]},
        )
        with context:
            result = self.sensor.evaluate_tick(context)
        for event in result.asset_events:
            self.instance.report_runless_asset_event(event)
        for request in result.dynamic_partitions_requests:
            self.instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)
        self.cursor = result.cursor
        return result

    def requested(self) -> list[str | None]:
        return [request.partition_key for request in self.tick().run_requests]

    def reported(self) -> list[str | None]:
        return [event.partition for event in self.tick().asset_events]


def publish(storage: Storage, location: Any, job: str = "job-a", *, generation: int = 1) -> None:
    Work(storage, str(location), job, shards=1).do().publish(generation=generation)


def consumer(partitions_def: dg.PartitionsDefinition | None = None) -> dg.AssetsDefinition:
    @dg.asset(partitions_def=partitions_def)
    def consumer() -> None: ...

    return consumer


def external(partitions_def: dg.PartitionsDefinition | None = None) -> dg.AssetSpec:
    return dg.AssetSpec(["shop", "scores"], partitions_def=partitions_def)


def materializations(instance: dg.DagsterInstance) -> list[dg.AssetMaterialization]:
    records = instance.fetch_materializations(dg.AssetKey(["shop", "scores"]), limit=1000).records
    return [record.asset_materialization for record in records]


@pytest.fixture
def scores(storage: Storage, tmp_path: Path) -> Path:
    return tmp_path / "scores"


def test_an_output_is_a_materialization_with_what_its_manifest_tells(
    instance: dg.DagsterInstance, scores: Path, settings: Settings
) -> None:
    gristmill.run_batch(
        "echo:",
        pa.table({"text": ["a", "b", "c"]}),
        output_spec=OutputSpec(location=scores / "2026-01-01"),
        compute_pool="inline",
        job_spec=JobSpec(job_name="nightly", block=True),
        inference_engine_options={"column": "text"},
    )
    manifest = gristmill.read_manifest(scores / "2026-01-01")
    sensor = sentinel_sensor("landed", location=scores / "{date}", asset_key=external(DAYS))
    ticks = Ticks(instance, sensor, external(DAYS))
    result = ticks.tick()
    assert result.skip_message == "1 location, 1 with a _SUCCESS, 1 new"
    (event,) = materializations(instance)
    told = {name: value.value for name, value in event.metadata.items()}
    assert event.partition == "2026-01-01"
    assert (told["location"], told["dagster/uri"]) == (f"{scores}/2026-01-01",) * 2
    assert (told["job"], told["rows"], told["errors"]) == (manifest.job, 3, 0)
    assert told["dagster/partition_row_count"] == 3
    assert [column.name for column in told["dagster/column_schema"].columns] == [one.name for one in manifest.columns]
    assert event.tags["dagster/data_version"] == manifest.fingerprint
    assert ticks.reported() == []


def test_an_asset_without_partitions_is_one_location(
    instance: dg.DagsterInstance, storage: Storage, scores: Path
) -> None:
    ticks = Ticks(instance, sentinel_sensor("landed", location=scores, asset_key="shop/scores"), external())
    assert ticks.tick().skip_message == "1 location, none with a _SUCCESS"
    publish(storage, scores)
    assert [ticks.reported(), ticks.reported()] == [[None], []]
    (event,) = materializations(instance)
    assert event.metadata["dagster/row_count"].value == 2
    publish(storage, scores, "job-b", generation=2)
    assert ticks.reported() == [None]


def test_a_run_is_requested_for_each_output_with_its_partition(
    instance: dg.DagsterInstance, storage: Storage, scores: Path
) -> None:
    ticks = Ticks(instance, sentinel_sensor("landed", location=scores / "{date}", target=consumer(DAYS)))
    assert ticks.tick().skip_message == "no location yet"
    publish(storage, scores / "2026-01-01", "job-a")
    publish(storage, scores / "2026-01-02", "job-b")
    first, second = ticks.tick().run_requests
    assert [first.partition_key, second.partition_key] == ["2026-01-01", "2026-01-02"]
    assert first.tags["gristmill/location"] == f"{scores}/2026-01-01"
    assert first.tags["gristmill/job"] == "job-a"
    assert first.tags["dagster/partition"] == "2026-01-01"
    assert ticks.tick().skip_message == "2 locations, 2 with a _SUCCESS, nothing new"


def test_both_are_told_of_the_same_sentinel(instance: dg.DagsterInstance, storage: Storage, scores: Path) -> None:
    sensor = sentinel_sensor("landed", location=scores / "{date}", asset_key=external(DAYS), target=consumer(DAYS))
    ticks = Ticks(instance, sensor, external(DAYS))
    publish(storage, scores / "2026-01-01")
    result = ticks.tick()
    assert [one.partition_key for one in result.run_requests] == ["2026-01-01"]
    assert [one.partition for one in result.asset_events] == ["2026-01-01"]
    assert result.run_requests[0].run_key == result.asset_events[0].metadata["sentinel"].value


@pytest.mark.parametrize(
    "made",
    [
        lambda asset: {"job": dg.define_asset_job("after", [asset])},
        lambda asset: {"job": "after"},
        lambda asset: {"asset_selection": dg.AssetSelection.assets(asset)},
        lambda asset: {"target": "consumer"},
    ],
    ids=["job", "job name", "selection", "key"],
)
def test_targets_are_those_of_any_sensor(
    instance: dg.DagsterInstance, storage: Storage, scores: Path, made: Any
) -> None:
    asset = consumer(DAYS)
    sensor = sentinel_sensor("landed", location=scores / "{date}", partitions_def=DAYS, **made(asset))
    ticks = Ticks(instance, sensor, asset)
    if sensor.targets and not sensor.has_jobs:
        ticks.defs = dg.Definitions.merge(ticks.defs, dg.Definitions(jobs=[dg.define_asset_job("after", [asset])]))
    publish(storage, scores / "2026-01-01")
    assert ticks.requested() == ["2026-01-01"]


def test_several_fields_are_the_dimensions_of_a_multi_partition(
    instance: dg.DagsterInstance, storage: Storage, scores: Path
) -> None:
    sensor = sentinel_sensor(
        "landed", location=scores / "{region}/{date}", asset_key=external(BOTH), target=consumer(BOTH)
    )
    ticks = Ticks(instance, sensor, external(BOTH))
    publish(storage, scores / "eu/2026-01-01")
    (request,) = ticks.tick().run_requests
    assert request.tags["dagster/partition/region"] == "eu"
    (event,) = materializations(instance)
    assert event.partition == dg.MultiPartitionKey({"region": "eu", "date": "2026-01-01"})
    assert event.partition.keys_by_dimension == {"region": "eu", "date": "2026-01-01"}


def test_the_whole_key_of_a_multi_partition_may_be_one_field(
    instance: dg.DagsterInstance, storage: Storage, scores: Path
) -> None:
    ticks = Ticks(instance, sentinel_sensor("landed", location=scores / "{partition}", target=consumer(BOTH)))
    publish(storage, scores / "2026-01-01|eu")
    publish(storage, scores / "eu")
    result = ticks.tick()
    assert [one.tags["dagster/partition/region"] for one in result.run_requests] == ["eu"]
    assert ticks.tick().skip_message.endswith(f"; {scores}/eu: 'eu' is no partition")


def test_the_key_may_be_made_of_several_folders(instance: dg.DagsterInstance, storage: Storage, scores: Path) -> None:
    days = sentinel_sensor("days", location=scores / "{y}/{m}/{d}", target=consumer(DAYS), partition_key="{y}-{m}-{d}")
    publish(storage, scores / "2026/01/02")
    assert Ticks(instance, days).requested() == ["2026-01-02"]
    both = sentinel_sensor(
        "both",
        location=scores / "{y}/{m}/{d}",
        target=consumer(BOTH),
        partition_key={"date": "{y}-{m}-{d}", "region": "us"},
    )
    assert Ticks(instance, both).requested() == ["2026-01-02|us"]


def test_fields_that_are_no_partition_tell_locations_apart(
    instance: dg.DagsterInstance, storage: Storage, scores: Path
) -> None:
    sensor = sentinel_sensor(
        "landed", location=scores / "{drop}", asset_key=external(), target=consumer(), partition_key=""
    )
    ticks = Ticks(instance, sensor, external())
    publish(storage, scores / "a"), publish(storage, scores / "b")
    result = ticks.tick()
    assert len({one.run_key for one in result.run_requests}) == 2
    assert [event.partition for event in result.asset_events] == [None, None]
    ticks.cursor = None
    assert ticks.reported() == []


def test_partitions_that_there_are_not_yet_are_named_and_waited_for(
    instance: dg.DagsterInstance, storage: Storage, scores: Path
) -> None:
    today = datetime.now(UTC).date()
    soon = (today + timedelta(days=5)).isoformat()
    for name in ("2025-12-31", "not-a-day", soon, "2026-01-01"):
        publish(storage, scores / name)
    ticks = Ticks(instance, sentinel_sensor("landed", location=scores / "{date}", target=consumer(DAYS)))
    assert ticks.requested() == ["2026-01-01"]
    told = ticks.tick().skip_message
    assert f"{scores}/not-a-day: 'not-a-day' is no partition" in told
    assert f"{scores}/{soon}: {soon!r} is no partition" in told
    # the days go on: what was waited for is a partition then
    later = dg.DailyPartitionsDefinition("2026-01-01", end_offset=10)
    ticks.sensor = sentinel_sensor("landed", location=scores / "{date}", target=consumer(later))
    ticks.defs = dg.Definitions(sensors=[ticks.sensor], resources={"gristmill": GristmillResource()})
    assert ticks.requested() == [soon]


@pytest.mark.parametrize("target", [dg.AssetSelection.from_string("consumer"), "consumer", dg.AssetSelection.all()])
def test_a_target_that_is_named_has_the_partitions_of_the_definitions_it_stands_among(
    instance: dg.DagsterInstance, storage: Storage, scores: Path, target: Any
) -> None:
    publish(storage, scores / "2026-01-02")
    publish(storage, scores / "junk")
    sensor = sentinel_sensor("s", location=f"{scores}/{{day}}", target=target)
    ticks = Ticks(instance, sensor, consumer(DAYS))
    assert ticks.requested() == ["2026-01-02"]
    assert "'junk' is no partition" in ticks.tick().skip_message


def test_a_job_has_its_partitions_by_its_name(instance: dg.DagsterInstance, storage: Storage, scores: Path) -> None:
    publish(storage, scores / "2026-01-02")
    publish(storage, scores / "junk")
    sensor = sentinel_sensor("s", location=f"{scores}/{{day}}", job="work")
    ticks = Ticks(instance, sensor, consumer(DAYS))
    ticks.defs = dg.Definitions.merge(ticks.defs, dg.Definitions(jobs=[dg.define_asset_job("work", "consumer")]))
    assert ticks.requested() == ["2026-01-02"]


def test_a_named_target_without_partitions_is_told_with_the_way_out(
    instance: dg.DagsterInstance, storage: Storage, scores: Path
) -> None:
    publish(storage, scores / "2026-01-02")
    named = {"location": f"{scores}/{{day}}", "target": "consumer"}
    ticks = Ticks(instance, sentinel_sensor("s", **named), consumer())
    with pytest.raises(Exception, match="target: it has no partitions, and location names some"):
        ticks.tick()
    assert Ticks(instance, sentinel_sensor("s", **named, partition_key=""), consumer()).requested() == [None]


def test_a_changed_partition_key_looks_at_all_again(
    instance: dg.DagsterInstance, storage: Storage, scores: Path
) -> None:
    publish(storage, scores / "2026/01")
    first = sentinel_sensor("s", location=f"{scores}/{{y}}/{{m}}", asset_key="seen", partition_key="{y}-{m}")
    ticks = Ticks(instance, first)
    assert ticks.reported() == ["2026-01"]
    ticks.sensor = sentinel_sensor("s", location=f"{scores}/{{y}}/{{m}}", asset_key="seen", partition_key="{y}/{m}")
    assert ticks.reported() == ["2026/01"]


def test_a_folder_whose_name_is_no_text_stops_nothing(
    instance: dg.DagsterInstance, storage: Storage, scores: Path
) -> None:
    publish(storage, scores / "2026-01-02")
    (scores / os.fsdecode(b"bad\xff")).mkdir()
    ticks = Ticks(instance, sentinel_sensor("s", location=f"{scores}/{{day}}", asset_key="seen"))
    assert ticks.reported() == ["2026-01-02"]


def test_dynamic_partitions_are_added(kept_instance: dg.DagsterInstance, storage: Storage, scores: Path) -> None:
    drops = dg.DynamicPartitionsDefinition(name="drops")
    ticks = Ticks(
        kept_instance, sentinel_sensor("landed", location=scores / "{partition}", target=consumer(drops)), stored=True
    )
    kept_instance.add_dynamic_partitions("drops", ["a"])
    for name in ("a", "b%2Fc"):
        publish(storage, scores / name)
    result = ticks.tick()
    assert [one.partition_key for one in result.run_requests] == ["a", "b/c"]
    assert [request.partition_keys for request in result.dynamic_partitions_requests] == [["b/c"]]
    assert set(kept_instance.get_dynamic_partitions("drops")) == {"a", "b/c"}


def test_a_dynamic_dimension_is_added_to_and_the_other_is_checked(
    kept_instance: dg.DagsterInstance, storage: Storage, scores: Path
) -> None:
    both = dg.MultiPartitionsDefinition({"shop": dg.DynamicPartitionsDefinition(name="shops"), "region": REGIONS})
    for name in ("eu/bern", "us/bern", "mars/bern", "eu/a%7Cb"):
        Work(storage, f"{scores}/{name}", "job-a", shards=1).do().publish()
    sensor = sentinel_sensor("landed", location=scores / "{region}/{shop}", target=consumer(both))
    ticks = Ticks(kept_instance, sensor, stored=True)
    result = ticks.tick()
    assert [one.partition_key for one in result.run_requests] == ["eu|bern", "us|bern"]
    assert [one.partition_keys for one in result.dynamic_partitions_requests] == [["bern"]]
    assert "'mars|bern' is no partition" in ticks.tick().skip_message


def test_a_later_publication_fires_again_and_a_touched_file_has_the_same_run_key(
    instance: dg.DagsterInstance, storage: Storage, scores: Path
) -> None:
    sensor = sentinel_sensor("landed", location=scores / "{date}", asset_key=external(DAYS), target=consumer(DAYS))
    ticks = Ticks(instance, sensor, external(DAYS))
    publish(storage, scores / "2026-01-01")
    (first,) = ticks.tick().run_requests
    os.utime(scores / "2026-01-01/_SUCCESS", (1_800_000_000, 1_800_000_000))
    touched = ticks.tick()
    assert [one.run_key for one in touched.run_requests] == [first.run_key]
    assert touched.asset_events == []
    publish(storage, scores / "2026-01-01", "job-b", generation=2)
    again = ticks.tick()
    assert [one.run_key == first.run_key for one in again.run_requests] == [False]
    assert len(again.asset_events) == 1


@pytest.mark.parametrize("cursor", [None, "2026-01-01", '{"format":1}'])
def test_a_sensor_that_has_lost_its_cursor_tells_nothing_twice(
    instance: dg.DagsterInstance, storage: Storage, scores: Path, cursor: str | None
) -> None:
    sensor = sentinel_sensor("landed", location=scores / "{date}", asset_key=external(DAYS), target=consumer(DAYS))
    ticks = Ticks(instance, sensor, external(DAYS))
    publish(storage, scores / "2026-01-01")
    first = ticks.tick()
    ticks.cursor = cursor
    again = ticks.tick()
    assert [one.run_key for one in again.run_requests] == [one.run_key for one in first.run_requests]
    assert again.asset_events == []
    assert len(materializations(instance)) == 1


def test_a_changed_condition_looks_at_all_again(instance: dg.DagsterInstance, storage: Storage, scores: Path) -> None:
    strict = sentinel_sensor("landed", location=scores / "{date}", asset_key=external(DAYS), min_rows=3)
    ticks = Ticks(instance, strict, external(DAYS))
    publish(storage, scores / "2026-01-01")
    assert ticks.tick().skip_message.endswith(f"; {scores}/2026-01-01: 2 rows, fewer than 3")
    ticks.sensor = sentinel_sensor("landed", location=scores / "{date}", asset_key=external(DAYS), min_rows=2)
    assert ticks.reported() == ["2026-01-01"]


def test_conditions_tell_what_is_waited_for(instance: dg.DagsterInstance, storage: Storage, scores: Path) -> None:
    sensor = sentinel_sensor("landed", location=scores, asset_key="a", newer_than="2999-01-01T00:00:00Z")
    publish(storage, scores)
    assert "not newer than 2999-01-01T00:00:00Z" in Ticks(instance, sensor, dg.AssetSpec("a")).tick().skip_message


def test_a_sentinel_of_another_tool_fires_with_its_location_alone(
    instance: dg.DagsterInstance, storage: Storage, scores: Path
) -> None:
    sensor = sentinel_sensor("landed", location=scores / "{date}", asset_key=external(DAYS), target=consumer(DAYS))
    ticks = Ticks(instance, sensor, external(DAYS))
    storage.write_bytes(f"{scores}/2026-01-01/_SUCCESS", b"")
    assert "looked at once more" in ticks.tick().skip_message
    result = ticks.tick()
    assert [one.partition_key for one in result.run_requests] == ["2026-01-01"]
    assert result.asset_events[0].metadata["location"].value == f"{scores}/2026-01-01"
    assert "rows" not in result.asset_events[0].metadata


def test_a_tick_reads_no_more_than_it_may(instance: dg.DagsterInstance, storage: Storage, scores: Path) -> None:
    for day in range(1, 6):
        publish(storage, scores / f"2026-01-0{day}")
    sensor = sentinel_sensor("landed", location=scores / "{date}", target=consumer(DAYS), looks_per_tick=2)
    ticks = Ticks(instance, sensor)
    assert [len(ticks.requested()) for _ in range(4)] == [2, 2, 1, 0]


def test_the_cursor_of_ten_thousand_locations_is_short(
    instance: dg.DagsterInstance, storage: Storage, scores: Path
) -> None:
    publish(storage, scores / "0")
    sentinel = (scores / "0/_SUCCESS").read_bytes()
    for number in range(1, 10_000):
        (scores / str(number)).mkdir()
        (scores / str(number) / "_SUCCESS").write_bytes(sentinel)
    sensor = sentinel_sensor("landed", location=scores / "{id}", target="consumer", min_rows=3, looks_per_tick=10_000)
    ticks = Ticks(instance, sensor, consumer(dg.DynamicPartitionsDefinition(name="ids")))
    result = ticks.tick()
    assert (result.run_requests, "9,997 more wait" in result.skip_message) == ([], True)
    assert len(result.cursor) < 80_000
    assert len(Known.from_text(result.cursor, of=sensor_of(result.cursor)).entries) == 10_000


def sensor_of(cursor: str) -> str:
    """What a cursor is of."""
    return cursor.partition('"of":"')[2].partition('"')[0]


def test_a_bucket_is_watched_through_a_stage(s3: S3Server, instance: dg.DagsterInstance) -> None:
    storage = Storage(s3.settings)
    resource = {
        "stages": dict(s3.settings.stages),
        "storage_options": {"s3": {"endpoint_url": s3.endpoint_url}},
    }
    sensor = sentinel_sensor(
        "landed", location="@db.public.bucket/scores/{region}/date={date}", asset_key=external(BOTH)
    )
    ticks = Ticks(instance, sensor, external(BOTH), **resource)
    assert ticks.tick().skip_message == "no location yet"
    publish(storage, f"{s3.root}/scores/eu/date=2026-01-01")
    publish(storage, f"{s3.root}/scores/us/date=2026-01-02")
    assert ticks.reported() == ["2026-01-01|eu", "2026-01-02|us"]
    assert ticks.reported() == []
    publish(storage, f"{s3.root}/scores/us/date=2026-01-02", "job-b", generation=2)
    assert ticks.reported() == ["2026-01-02|us"]


def test_an_unknown_stage_fails_the_tick_with_its_name(instance: dg.DagsterInstance) -> None:
    ticks = Ticks(instance, sentinel_sensor("landed", location="@gone/{x}", asset_key="a"), dg.AssetSpec("a"))
    with pytest.raises(SpecError, match="@gone"):
        ticks.tick()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "give asset_key, to report materializations of it, or target"),
        ({"target": "a", "job": "b"}, "give one of target, job and asset_selection"),
        ({"asset_key": "a", "looks_per_tick": 0}, "looks_per_tick: give a number above 0"),
        ({"asset_key": "a", "location": "{x}/y"}, "begins with a field"),
        ({"asset_key": "a", "location": "/lake/{start:%Y}"}, "has a form"),
        ({"asset_key": "a", "max_error_rate": 2}, "max_error_rate"),
        ({"asset_key": "a", "newer_than": "2026-01-01"}, "with a time zone"),
        ({"asset_key": "a", "location": "/lake", "partitions_def": DAYS}, "names no partition"),
        (
            {"asset_key": "a", "location": "/lake/{x}/{date}", "partitions_def": BOTH},
            "dimensions of partitions_def are date, region",
        ),
        (
            {"asset_key": "a", "location": "/lake/{x}/{date}", "partitions_def": DAYS},
            "partitions_def has no dimensions",
        ),
        ({"asset_key": "a", "location": "/lake/{x}/{y}/{z}"}, "one or two dimensions"),
        ({"asset_key": "a", "location": "/lake/{x}/{partition}"}, "one or two dimensions"),
        (
            {"asset_key": "a", "location": "/lake/{x}", "partition_key": "{y}"},
            r"partition_key: '{y}' has the field {y}",
        ),
        (
            {"asset_key": "a", "location": "/lake/{x}", "partition_key": {"x": "{x}"}, "partitions_def": BOTH},
            "for each dimension",
        ),
        ({"asset_key": "a", "partition_key": "{x:%Y}"}, "which only moments take"),
        ({"target": consumer(DAYS), "partition_key": ""}, "partition_key is empty, but there are partitions"),
        ({"target": consumer(), "location": "/lake/{x}"}, "'consumer' has no partitions"),
    ],
)
def test_what_cannot_be_right_is_refused_where_the_sensor_is_defined(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words) as refused:
        sentinel_sensor("landed", **{"location": "/lake/{x}", **arguments})
    assert "sentinel_sensor 'landed': " in str(refused.value)


def test_a_sensor_says_what_it_needs_and_what_it_is_for() -> None:
    sensor = sentinel_sensor(
        "landed",
        location="s3://lake/{date}",
        target=consumer(DAYS),
        minimum_interval_seconds=300,
        default_status=dg.DefaultSensorStatus.RUNNING,
        resource_key="mill",
        tags={"team": "shop"},
    )
    assert sensor.required_resource_keys == {"mill"}
    assert sensor.minimum_interval_seconds == 300
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert sensor.tags == {"team": "shop"}
    assert sensor.description == "Fires once for each _SUCCESS at s3://lake/{date}"
