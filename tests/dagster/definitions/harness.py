"""What the harness itself is tested with: assets that need nothing but Dagster."""

import os
import sys
import time
from pathlib import Path

import dagster as dg

DAYS = dg.StaticPartitionsDefinition(["one", "two", "three"])


@dg.asset(partitions_def=DAYS)
def harness_days(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    sys.stdout.write(f"the day is {context.partition_key}\n")
    return dg.MaterializeResult(metadata={"day": context.partition_key, "letters": len(context.partition_key)})


@dg.asset
def harness_slow() -> None:
    """Ends when a file appears."""
    Path(os.environ["GRISTMILL_LIVE"], "harness-started").touch()
    while not Path(os.environ["GRISTMILL_LIVE"], "harness-go").exists():
        time.sleep(0.1)


@dg.asset_check(asset=harness_slow)
def harness_check() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True, metadata={"why": "it must"})


@dg.sensor(target=harness_slow, minimum_interval_seconds=1)
def harness_sensor() -> dg.SkipReason:
    return dg.SkipReason("nothing is new")


ASSETS = [harness_days, harness_slow]
CHECKS = [harness_check]
SENSORS = [harness_sensor]
