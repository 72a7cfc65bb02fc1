"""The code location of the live tests."""

import dagster as dg
from tests.dagster.definitions import harness, jobs, secret, sentinel

defs = dg.Definitions(
    assets=[*harness.ASSETS, *jobs.ASSETS, *secret.ASSETS, *sentinel.ASSETS],
    sensors=sentinel.SENSORS,
    resources={**jobs.RESOURCES, **secret.RESOURCES},
)
