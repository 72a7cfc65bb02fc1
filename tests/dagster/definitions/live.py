"""The code location of the live tests."""

import dagster as dg
from tests.dagster.definitions import harness, jobs, secret

defs = dg.Definitions(
    assets=[*harness.ASSETS, *jobs.ASSETS, *secret.ASSETS],
    asset_checks=harness.CHECKS,
    sensors=harness.SENSORS,
    resources={**jobs.RESOURCES, **secret.RESOURCES},
)
