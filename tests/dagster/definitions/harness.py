"""What the harness itself is tested with: an asset that needs nothing but Dagster."""

import sys

import dagster as dg

DAYS = dg.StaticPartitionsDefinition(["one", "two", "three"])


@dg.asset(partitions_def=DAYS)
def harness_days(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    sys.stdout.write(f"the day is {context.partition_key}\n")
    return dg.MaterializeResult(metadata={"day": context.partition_key, "letters": len(context.partition_key)})


ASSETS = [harness_days]
