"""Asset events: what a finished job tells about the assets that its task has as outlets."""

from collections.abc import Iterable, Mapping
from typing import Any

from airflow.sdk import Asset, AssetAlias
from airflow.sdk.definitions.asset import AssetRef

__all__ = ["asset_uri", "record_outlets"]

_TOLD = ("location", "job", "rows", "errors", "tokens")


def record_outlets(outlets: Iterable[Any], events: Mapping[Any, Any], summary: Mapping[str, Any]) -> None:
    """Give each outlet's event the output's location, its job, rows, errors and tokens.

    An alias gets an event for the asset that stands for the location. Other outlets, of which Airflow makes no events,
    are passed over.

    Args:
        outlets: the task's.
        events: `context["outlet_events"]`.
        summary: of the manifest, as `Manifest.summary` gives it.
    """
    extra = {name: summary[name] for name in _TOLD}
    for outlet in outlets:
        if isinstance(outlet, AssetAlias):
            events[outlet].add(Asset(asset_uri(summary["location"])), extra=dict(extra))
        elif isinstance(outlet, Asset | AssetRef):
            events[outlet].extra.update(extra)


def asset_uri(location: str) -> str:
    """The URI of the asset that stands for a location.

    Example:
        >>> asset_uri("/data/scores"), asset_uri("s3://lake/scores")
        ('file:///data/scores', 's3://lake/scores')
    """
    return f"file://{location}" if location.startswith("/") else location
