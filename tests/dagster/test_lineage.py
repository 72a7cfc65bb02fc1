"""Upstream lineage: which asset stands for the files that are read."""

import dagster as dg
import pytest

from dagster_gristmill import batch_inference_asset
from dagster_gristmill.lineage import input_key

DAYS = dg.DailyPartitionsDefinition("2026-01-01")


@pytest.mark.parametrize(
    ("location", "key"),
    [
        ("s3://lake/orders/{partition}/*.parquet", "s3/lake/orders"),
        ("S3://lake/orders", "s3/lake/orders"),
        ("@sales.public.lake/orders/{start:%Y}", "sales.public.lake/orders"),
        ("/srv/lake/./orders/a?.csv", "srv/lake/orders"),
        ("lake/day=2026-01-01/my files/münchen.csv", "lake/day_2026-01-01/my_files/m_nchen.csv"),
        ("s3://{bucket}/orders", None),
        ("*.parquet", None),
    ],
)
def test_the_folders_up_to_the_first_that_varies_are_the_key(location, key):
    found = input_key(location)
    assert (found and found.to_user_string()) == key


def test_whatever_a_location_is_called_its_asset_loads(lake):
    asset = batch_inference_asset(
        "scores",
        model="echo:",
        query=f"SELECT * FROM '{lake}/my orders/day={{partition}}/*.parquet' JOIN 's3://b/ü/x.parquet' USING (id)",
        output_spec={"location": f"{lake}/scores/{{partition}}"},
        partitions_def=DAYS,
    )
    keys = {key.path[-1] for key in asset.dependency_keys}
    assert keys == {"my_orders", "x.parquet"}
    assert dg.Definitions([asset], resources={"gristmill": object()}).resolve_asset_graph()
