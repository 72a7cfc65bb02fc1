"""What is sold; in real life it is there."""

import dagster as dg

from grist_shop.lake import LAKE


@dg.asset(partitions_def=dg.DailyPartitionsDefinition("2026-01-01"))
def orders(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """The day's orders; where they stand is told by `location`."""
    import fsspec
    import pyarrow as pa
    import pyarrow.parquet as pq

    day = context.partition_key
    rows = pa.table({"id": [f"{day}/{row}" for row in range(500)], "price": [row / 4 for row in range(500)]})
    with fsspec.open(f"{LAKE}/orders/{day}/0.parquet", "wb", auto_mkdir=True) as file:
        pq.write_table(rows, file)
    return dg.MaterializeResult(metadata={"location": f"{LAKE}/orders/{day}"})
