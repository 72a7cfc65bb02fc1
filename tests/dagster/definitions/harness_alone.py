"""A code location with what the harness is tested with, and nothing else."""

import dagster as dg
from tests.dagster.definitions import harness

defs = dg.Definitions(assets=harness.ASSETS)
