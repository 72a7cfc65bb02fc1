"""Airflow provider of Gristmill: batch inference as a task that a scheduler can trust.

Wrappers only: they build a request, submit it, wait, and report. What is decided is decided in `gristmill`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_gristmill.hook import GristmillHook
    from airflow_gristmill.job_sensor import BatchJobSensor
    from airflow_gristmill.operator import RunBatchOperator
    from airflow_gristmill.sentinel_sensor import SentinelSensor
    from airflow_gristmill.sentinel_trigger import SentinelTrigger

__all__ = [
    "BatchJobSensor",
    "GristmillHook",
    "RunBatchOperator",
    "SentinelSensor",
    "SentinelTrigger",
    "get_provider_info",
]

_HOMES = {
    "BatchJobSensor": "job_sensor",
    "GristmillHook": "hook",
    "RunBatchOperator": "operator",
    "SentinelSensor": "sentinel_sensor",
    "SentinelTrigger": "sentinel_trigger",
}


def __getattr__(name: str) -> Any:
    """The classes, imported when they are asked for: Airflow reads this module before it is set up itself."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def get_provider_info() -> dict[str, Any]:
    """What Airflow shows and registers of this provider."""
    from airflow_gristmill.provider_info import PROVIDER_INFO

    return PROVIDER_INFO
