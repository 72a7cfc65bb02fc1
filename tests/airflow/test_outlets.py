"""Asset events: what a finished job tells about its task's outlets."""

from airflow.sdk import Asset, AssetAlias
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_gristmill.outlets import asset_uri, record_outlets

TOLD = {"location": "/data/scores", "job": "nightly-1", "rows": 10, "errors": 1, "tokens": {"output_tokens": 5.0}}
SUMMARY = {**TOLD, "files": 3, "model": "echo:"}


def test_an_asset_gets_rows_errors_tokens_location_and_job_beside_what_others_put_there():
    asset, events = Asset("scores"), OutletEventAccessors()
    events[asset].extra["mine"] = 1
    record_outlets([asset], events, SUMMARY)
    assert events[asset].extra == {"mine": 1, **TOLD}


def test_an_alias_gets_an_event_for_the_asset_that_stands_for_the_location():
    alias, events = AssetAlias("each-score"), OutletEventAccessors()
    record_outlets([alias], events, SUMMARY)
    [event] = events[alias].asset_alias_events
    assert event.dest_asset_key.uri == "file:///data/scores"
    assert event.extra == TOLD


def test_references_to_assets_are_outlets_too():
    asset, events = Asset(name="scores", uri="s3://lake/scores"), OutletEventAccessors()
    record_outlets([asset, Asset("other")], events, SUMMARY)
    assert {name.name: events[name].extra for name in events} == {"scores": TOLD, "other": TOLD}


def test_locations_of_this_machine_become_file_uris_and_urls_stay():
    assert [asset_uri(place) for place in ("/a/b", "s3://lake/x")] == ["file:///a/b", "s3://lake/x"]


def test_outlets_that_are_no_assets_are_passed_over():
    asset, events = Asset("scores"), OutletEventAccessors()
    record_outlets([object(), asset], events, SUMMARY)
    assert [one.name for one in events] == ["scores"]
