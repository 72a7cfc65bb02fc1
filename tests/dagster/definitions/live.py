"""The code location of the live tests."""

import dagster as dg
from tests.dagster.definitions import harness

defs = dg.Definitions(assets=harness.ASSETS, asset_checks=harness.CHECKS, sensors=harness.SENSORS)
