"""Sensors that see outputs land: an external asset with the partitions that come, and an asset that follows each."""

import dagster as dg
from tests.dagster.definitions.jobs import LIVE, RESOURCES

import gristmill
from dagster_gristmill.sensor import sentinel_sensor

DROPS = dg.DynamicPartitionsDefinition(name="landed_drops")
BOTH = dg.MultiPartitionsDefinition(
    {"region": dg.StaticPartitionsDefinition(["eu", "us"]), "date": dg.DailyPartitionsDefinition("2026-01-01")}
)

LANDED = dg.AssetSpec("landed", partitions_def=DROPS, description="Scores that somebody else makes")
LANDED_BOTH = dg.AssetSpec("landed_both", partitions_def=BOTH)


@dg.asset(partitions_def=DROPS, deps=[LANDED])
def follower(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Reads what has landed."""
    location = context.run.tags["gristmill/location"]
    rows = gristmill.read_output(location).num_rows
    return dg.MaterializeResult(metadata={"location": location, "rows": rows})


ASSETS = [LANDED, LANDED_BOTH, follower]
SENSORS = [
    sentinel_sensor(
        "landings",
        location=f"{LIVE}/landed/{{partition}}",
        asset_key=LANDED,
        target=follower,
        max_error_rate=0.5,
        minimum_interval_seconds=2,
    ),
    sentinel_sensor(
        "landings_both",
        location=f"{LIVE}/landed-both/{{region}}/date={{date}}",
        asset_key=LANDED_BOTH,
        minimum_interval_seconds=2,
    ),
]

defs = dg.Definitions(assets=ASSETS, sensors=SENSORS, resources=RESOURCES)
