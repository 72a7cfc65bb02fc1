r"""What happens when something is published, by whatever published it: Dagster, the command line, another team.

The sensor looks at a location for a new `_SUCCESS`. For each, once, it records a materialization of the external asset
`digits_published`, with rows, errors and location, and asks for a run of `publications`. The file stays where it is.

    dagster dev -f example_dags/dagster/on_publication.py

It watches what `classify_images.py` of this folder writes. Run that, or publish there from a shell, in the folder of
the examples:

    gristmill run dagster/digits/model/digits.joblib dagster/digits/images dagster/digits/read \
        --files '.*\.png' --column image=raw_bytes --mode overwrite

Needs `pip install 'gristmill[dagster]' dagster-webserver`. GRISTMILL_EXAMPLES: as in `classify_images.py`.
"""

import os
from pathlib import Path

import dagster as dg

from dagster_gristmill import GristmillResource, sentinel_sensor

BASE = os.environ.get("GRISTMILL_EXAMPLES") or str(Path.home() / "gristmill-examples")


@dg.asset(deps=["digits_published"])
def publications(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Take note of the latest publication."""
    latest = context.instance.get_latest_materialization_event(dg.AssetKey("digits_published"))
    if latest is None:
        raise dg.Failure("nothing has been published yet")
    seen = latest.asset_materialization.metadata
    told = ("location", "job", "rows", "errors")  # another tool's _SUCCESS tells its location only
    return dg.MaterializeResult(metadata={name: seen[name] for name in told if name in seen})


sensor = sentinel_sensor(
    "digits_landed",
    location=f"{BASE}/dagster/digits/read",
    asset_key="digits_published",
    target=[publications],
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
)

defs = dg.Definitions(
    assets=[dg.AssetSpec("digits_published"), publications],
    sensors=[sensor],
    resources={"gristmill": GristmillResource()},
)
