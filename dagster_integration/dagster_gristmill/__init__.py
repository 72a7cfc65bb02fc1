"""Gristmill for Dagster: batch inference as assets that know their partitions, their checks and their cost."""

from dagster_gristmill.component import BatchInferenceComponent
from dagster_gristmill.resource import GristmillResource

__all__ = ["BatchInferenceComponent", "GristmillResource"]
