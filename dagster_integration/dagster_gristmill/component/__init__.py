"""The component for `dg`."""

from dagster_gristmill.component.component import BatchInferenceComponent

__all__ = ["BatchInferenceComponent"]
