"""A table scored each night: an asset with a partition, and a job, for each day.

`orders` writes 1,000 orders of the day, `late_model` trains a model; in real life both are there. `scores` is the job's
output, each day in a folder of its own, named by `{partition}`. `scores_report.py` builds on it.

    dagster dev -f example_dags/dagster/nightly_scores.py

In the browser (`http://localhost:3000`) materialize `late_model`, then `orders` and `scores` for some days, or launch a
backfill of all of them. Materialize a day of `scores` again, and nothing is computed, since the request is the same.
The schedule, once it is switched on, does each night what is needed for the day before.

Needs `pip install 'gristmill[dagster,sklearn]' dagster-webserver`.

Everything stands under `gristmill-examples` in your home folder, or where the variable GRISTMILL_EXAMPLES of the
environment says: a folder that all of Dagster's machines share, or a URL such as `s3://lake/examples` (with the extra
`s3`).
"""

import os
from pathlib import Path

import dagster as dg

from dagster_gristmill import GristmillResource, OutputChecks, batch_inference_asset

BASE = os.environ.get("GRISTMILL_EXAMPLES") or str(Path.home() / "gristmill-examples")
SALES = f"{BASE}/dagster/sales"
MODEL = f"{SALES}/models/late.joblib"
DAYS = dg.DailyPartitionsDefinition("2026-01-01")


@dg.asset(kinds={"sklearn"})
def late_model() -> dg.MaterializeResult:
    """A model that tells which orders will be late."""
    import fsspec
    import joblib
    import numpy as np
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    draw = np.random.default_rng(0)
    past = pd.DataFrame({"items": draw.integers(1, 20, 2_000), "distance": draw.uniform(0, 800, 2_000)})
    late = 0.2 * past["items"] + 0.01 * past["distance"] + draw.normal(0, 1, 2_000) > 6
    with fsspec.open(MODEL, "wb", auto_mkdir=True) as file:
        joblib.dump(LogisticRegression().fit(past, late), file)
    return dg.MaterializeResult(metadata={"location": MODEL})


@dg.asset(partitions_def=DAYS)
def orders(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """The day's orders; the same whenever they are made."""
    import zlib

    import fsspec
    import numpy as np
    import pandas as pd

    day = context.partition_key
    draw = np.random.default_rng(zlib.crc32(day.encode()))
    rows = pd.DataFrame(
        {
            "order": [f"{day}/{number}" for number in range(1_000)],
            "items": draw.integers(1, 20, 1_000),
            "distance": draw.uniform(0, 800, 1_000),
        }
    )
    with fsspec.open(f"{SALES}/orders/{day}/orders.parquet", "wb", auto_mkdir=True) as file:
        rows.to_parquet(file)
    return dg.MaterializeResult(metadata={"location": f"{SALES}/orders/{day}"})


scores = batch_inference_asset(
    "scores",
    model=f"pickle:{MODEL}",
    input_asset="orders",
    output_spec={"location": SALES + "/scores/{partition}", "mode": "overwrite"},
    job_spec={"function_name": "predict_proba"},
    partitions_def=DAYS,
    deps=[late_model],
    checks=OutputChecks(blocking=True),
    kinds={"sklearn"},
    description="How likely each order is to be late.",
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30),
)

nightly = dg.define_asset_job("nightly_scores", selection=["orders", "scores"])

defs = dg.Definitions(
    assets=[late_model, orders, scores],
    schedules=[dg.build_schedule_from_partitioned_job(nightly)],
    jobs=[nightly],
    resources={"gristmill": GristmillResource()},
)
