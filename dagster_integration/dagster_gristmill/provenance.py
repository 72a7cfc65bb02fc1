"""What a partition was made of, for materializations that an asset records itself: Dagster adds it to its own alone."""

import dagster as dg

__all__ = ["DATA_VERSION", "provenance"]

DATA_VERSION = "dagster/data_version"
"""The tag of an event by which Dagster tells one state of an asset from another."""

_CODE = "dagster/code_version"
_IS_OURS = "dagster/data_version_is_user_provided"
_INPUT_VERSION = "dagster/input_data_version"
_INPUT_EVENT = "dagster/input_event_pointer"
_UNKNOWN_VERSION, _NO_EVENT = "INITIAL", "NULL"
"""What Dagster takes for an input that was never materialized or observed."""


def provenance(context: dg.AssetExecutionContext, asset_key: dg.AssetKey) -> dict[str, str]:
    """The tags by which Dagster tells whether a materialization is stale: of the code, and of what it builds on.

    Ask before anything is read: what comes later is news.

    Args:
        context: of the step.
        asset_key: the asset that is materialized.
    """
    spec = context.assets_def.specs_by_key[asset_key]
    tags = {_CODE: spec.code_version or context.run.run_id, _IS_OURS: "true"}
    for key in sorted({dep.asset_key for dep in spec.deps}):
        version, pointer = _newest(context.instance, key)
        tags[f"{_INPUT_VERSION}/{key.to_user_string()}"] = version
        tags[f"{_INPUT_EVENT}/{key.to_user_string()}"] = pointer
    return tags


def _newest(instance: dg.DagsterInstance, key: dg.AssetKey) -> tuple[str, str]:
    """The data version of the newest event of an asset, and the event's number."""
    records = instance.fetch_materializations(key, limit=1).records or instance.fetch_observations(key, limit=1).records
    if not records:
        return _UNKNOWN_VERSION, _NO_EVENT
    entry = records[0].event_log_entry
    event = entry.asset_materialization or entry.asset_observation
    tags = {} if event is None else event.tags or {}
    return tags.get(DATA_VERSION, _UNKNOWN_VERSION), str(records[0].storage_id)
