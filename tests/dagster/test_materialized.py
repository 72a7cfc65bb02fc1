"""What the materializations of an asset say of its outputs."""

import dagster as dg
import pytest

from dagster_gristmill.materialized import Materialized, latest_outputs

KEY = dg.AssetKey("scores")


@pytest.fixture
def events():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def report(events, partition=None, **metadata):
    events.report_runless_asset_event(dg.AssetMaterialization(KEY, partition=partition, metadata=metadata))


def test_the_latest_of_an_asset_is_found_with_its_place_and_job(events):
    assert latest_outputs(events, KEY) == {}
    report(events, location="/old", job="job-a")
    report(events, location="/new", job="job-b")
    assert latest_outputs(events, KEY) == {None: Materialized(None, "/new", "job-b", "event 2")}


def test_the_latest_of_each_partition_comes_in_the_order_asked_for(events):
    for partition in ("a", "b", "c", "a"):
        report(events, partition, location=f"/{partition}", job=f"job-{partition}")
    report(events, "b", location="/b/2")
    found = latest_outputs(events, KEY, ["c", "b", "never", "a"])
    assert list(found) == ["c", "b", "a"]
    assert found["b"] == Materialized("b", "/b/2", None, "event 5")


def test_a_partition_is_found_behind_many_materializations_of_another(events):
    report(events, "a", location="/a")
    for number in range(501):  # more than a page of events
        report(events, "b", location=f"/b/{number}")
    found = latest_outputs(events, KEY, ["a", "b"])
    assert (found["a"].location, found["b"].location) == ("/a", "/b/500")


def test_a_materialization_that_says_nothing_is_one_all_the_same(events):
    report(events)
    assert latest_outputs(events, KEY) == {None: Materialized(None, None, None, "event 1")}


def test_a_data_version_tells_more_than_the_number_of_an_event(events):
    event = dg.AssetMaterialization(KEY, tags={"dagster/data_version": "7"}, metadata={"location": "/out"})
    events.report_runless_asset_event(event)
    assert latest_outputs(events, KEY)[None].version == "7"


def test_what_was_wiped_is_gone(events):
    report(events, location="/out")
    events.wipe_assets([KEY])
    assert latest_outputs(events, KEY) == {}
