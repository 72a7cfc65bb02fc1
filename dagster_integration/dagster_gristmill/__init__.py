"""Gristmill for Dagster: batch inference as assets that know their partitions, their checks and their cost."""

from dagster_gristmill.asset import batch_inference_asset
from dagster_gristmill.checks import check_specs
from dagster_gristmill.component import BatchInferenceComponent
from dagster_gristmill.resource import GristmillResource
from gristmill.outputs.checks import OutputChecks

__all__ = ["BatchInferenceComponent", "GristmillResource", "OutputChecks", "batch_inference_asset", "check_specs"]
