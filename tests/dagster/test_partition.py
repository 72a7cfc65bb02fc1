"""What a partition fills in locations, and the key of its job."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from dagster_gristmill.partition import field_names, fields_of, job_key, moment_form, tell_apart
from gristmill.errors import SpecError
from gristmill.spec.template import Template

DAILY = dg.DailyPartitionsDefinition("2026-01-01")
REGIONS = dg.StaticPartitionsDefinition(["eu", "us"])
BY_DAY = dg.MultiPartitionsDefinition({"region": REGIONS, "day": DAILY})
PLAIN = dg.MultiPartitionsDefinition({"region": REGIONS, "size": dg.StaticPartitionsDefinition(["s", "l"])})


@pytest.mark.parametrize(
    ("partitions_def", "names"),
    [
        (None, set()),
        (REGIONS, {"partition"}),
        (dg.DynamicPartitionsDefinition(name="files"), {"partition"}),
        (DAILY, {"partition", "start", "end"}),
        (BY_DAY, {"partition", "region", "day", "start", "end"}),
        (PLAIN, {"partition", "region", "size"}),
    ],
)
def test_templates_know_the_fields_of_their_partitions(partitions_def, names):
    assert field_names(partitions_def) == names


def test_a_dimension_must_not_be_named_like_a_field():
    dimensions = dg.MultiPartitionsDefinition({"start": REGIONS, "day": DAILY})
    with pytest.raises(SpecError, match="dimension 'start' has the name of a field; rename it"):
        field_names(dimensions)


def test_a_day_fills_in_its_window():
    fields = fields_of(DAILY, "2026-01-31")
    assert fields["partition"] == "2026-01-31"
    assert fields["start"] == datetime(2026, 1, 31, tzinfo=UTC)
    assert fields["end"] == datetime(2026, 2, 1, tzinfo=UTC)


def test_the_parts_of_a_multi_partition_go_by_their_dimensions_whether_it_is_text_or_a_key():
    key = dg.MultiPartitionKey({"region": "eu", "day": "2026-01-02"})
    for given in (key, str(key)):
        fields = fields_of(BY_DAY, given)
        assert (fields["region"], fields["day"], fields["partition"]) == ("eu", "2026-01-02", "2026-01-02|eu")
        assert fields["start"] == datetime(2026, 1, 2, tzinfo=UTC)


def test_days_of_another_time_zone_begin_there():
    zoned = dg.DailyPartitionsDefinition("2026-01-01", timezone="Asia/Tokyo")
    assert fields_of(zoned, "2026-01-02")["start"].astimezone(UTC) == datetime(2026, 1, 1, 15, tzinfo=UTC)


def test_moments_without_a_form_look_like_the_keys():
    hourly = dg.HourlyPartitionsDefinition("2026-01-01-00:00")
    text = Template("{start}..{end}", what="x").fill(fields_of(hourly, "2026-01-01-05:00"), moments=moment_form(hourly))
    assert text == "2026-01-01-05:00..2026-01-01-06:00"
    assert moment_form(None) == moment_form(REGIONS) == "%Y-%m-%d"


@pytest.mark.parametrize(
    ("partitions_def", "text"),
    [
        (REGIONS, "lake/scores"),
        (DAILY, "lake/{start:%Y-%m}"),
        (DAILY, "lake/{start:%A}"),
        (dg.HourlyPartitionsDefinition("2026-01-01-00:00"), "lake/{start:%Y-%m-%d}"),
        (dg.HourlyPartitionsDefinition("2026-01-01-00:00"), "lake/{start:%d/%H}"),
        (DAILY, "lake/{start:%m-%d}"),
        (dg.DailyPartitionsDefinition("2999-01-01"), "lake/{start:%Y-%m}"),
        (BY_DAY, "lake/{region}"),
        (BY_DAY, "lake/{day}"),
        (BY_DAY, "lake/{region}/{start:%Y}"),
        (PLAIN, "lake/{region}"),
    ],
)
def test_an_output_that_several_partitions_share_is_refused(partitions_def, text):
    with pytest.raises(SpecError, match=r"is the same for several partitions.*put \{partition\} into it"):
        tell_apart(Template(text, what="output_spec.location"), partitions_def)


@pytest.mark.parametrize(
    ("partitions_def", "text"),
    [
        (REGIONS, "lake/{partition}"),
        (DAILY, "lake/{start:%Y/%m/%d}"),
        (DAILY, "lake/{end}"),
        (BY_DAY, "lake/{region}/{day}"),
        (BY_DAY, "lake/{start:%Y/%m/%d}/{region}"),
        (BY_DAY, "lake/{partition}"),
        (PLAIN, "lake/{region}-{size}"),
        (dg.DynamicPartitionsDefinition(name="files"), "lake/{partition}"),
        (dg.WeeklyPartitionsDefinition("2026-01-01"), "lake/{start:%Y-%W}"),
        (dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-04"), "lake/{start:%d}"),
        (
            dg.TimeWindowPartitionsDefinition(
                start="1990-01-01-00:00", fmt="%Y-%m-%d-%H:%M", cron_schedule="* * * * *"
            ),
            "lake/{start:%Y/%m/%d/%H/%M}",
        ),
    ],
)
def test_an_output_of_each_partitions_own_is_taken(partitions_def, text):
    tell_apart(Template(text, what="output_spec.location"), partitions_def)


def test_keys_tell_assets_and_partitions_apart():
    keys = {
        job_key(dg.AssetKey(path), partition)
        for path, partition in [
            (["a", "b"], None),
            (["a/b"], None),
            (["a"], "b"),
            (["a:b"], None),
            (["a"], None),
            (["a%3Ab"], None),
            (["a"], "b|c"),
        ]
    }
    assert len(keys) == 7
    assert job_key(dg.AssetKey(["shop", "scores"]), "2026-01-01") == "shop/scores:2026-01-01"
