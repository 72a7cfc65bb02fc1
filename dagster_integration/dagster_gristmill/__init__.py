"""Gristmill for Dagster: batch inference as assets that know their partitions, their checks and their cost."""

from dagster_gristmill.asset import batch_inference_asset
from dagster_gristmill.checks import check_specs
from dagster_gristmill.component import BatchInferenceComponent
from dagster_gristmill.io_manager import GristmillIOManager
from dagster_gristmill.resource import GristmillResource
from dagster_gristmill.sensor import sentinel_sensor
from gristmill.outputs.checks import OutputChecks

__all__ = [
    "BatchInferenceComponent",
    "GristmillIOManager",
    "GristmillResource",
    "OutputChecks",
    "batch_inference_asset",
    "check_specs",
    "sentinel_sensor",
]
