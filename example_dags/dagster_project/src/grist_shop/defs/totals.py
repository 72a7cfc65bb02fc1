"""What is paid each day."""

import dagster as dg


@dg.asset(
    partitions_def=dg.DailyPartitionsDefinition("2026-01-01"),
    ins={"gross": dg.AssetIn(input_manager_key="outputs", metadata={"columns": ["gross"]})},
)
def totals(gross) -> dg.MaterializeResult:
    """The sum of the day's prices with tax; a day whose output is not whole is refused."""
    return dg.MaterializeResult(metadata={"total": sum(gross["gross"].to_pylist()), "orders": gross.num_rows})
