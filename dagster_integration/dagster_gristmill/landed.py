"""What Dagster is told of a sentinel that has landed: a materialization, or a request for a run."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from dagster_gristmill.metadata import all_columns, data_version, plain_schema
from dagster_gristmill.partition import dimension_tags
from dagster_gristmill.provenance import DATA_VERSION

if TYPE_CHECKING:
    from gristmill.outputs.landing import Landing

__all__ = ["is_reported", "materialization_of", "run_request_of"]

_SENTINEL = "sentinel"
"""The metadata that tells which sentinel a materialization reported."""
_LOCATION_TAG = "gristmill/location"
_JOB_TAG = "gristmill/job"
_HISTORY = 50
"""So many of a partition's materializations are looked through: one, but where many locations are one partition."""


def materialization_of(landing: "Landing", asset_key: dg.AssetKey, partition: str | None) -> dg.AssetMaterialization:
    """The materialization, with the same metadata as one that ran here, as far as a manifest tells it."""
    tags = {DATA_VERSION: _version(landing), **dimension_tags(partition)}
    return dg.AssetMaterialization(
        asset_key,
        description=f"Found at {landing.place.location}",
        metadata=_metadata(landing, partitioned=partition is not None),
        partition=partition,
        tags=tags,
    )


def run_request_of(landing: "Landing", partition: str | None) -> dg.RunRequest:
    """The request, whose key is the sentinel's: Dagster starts one run for each. Its tags say what has landed."""
    manifest = landing.sighting.manifest
    return dg.RunRequest(
        run_key=landing.digest,
        partition_key=partition,
        tags={_LOCATION_TAG: landing.place.location, **({} if manifest is None else {_JOB_TAG: manifest.job})},
    )


def is_reported(
    landing: "Landing", instance: dg.DagsterInstance, asset_key: dg.AssetKey, partition: str | None
) -> bool:
    """Whether a materialization tells of this sentinel already, whatever a sensor's cursor knows."""
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key, asset_partitions=None if partition is None else [str(partition)]),
        limit=_HISTORY,
    ).records
    for record in records:
        event = record.asset_materialization
        told = None if event is None else event.metadata.get(_SENTINEL)
        if told is not None and told.value == landing.digest:
            return True
    return False


def _version(landing: "Landing") -> str:
    manifest = landing.sighting.manifest
    return landing.digest if manifest is None else data_version(manifest).value


def _metadata(landing: "Landing", *, partitioned: bool) -> dict[str, Any]:
    location, manifest = landing.place.location, landing.sighting.manifest
    told: dict[str, Any] = {"location": location, "dagster/uri": location, _SENTINEL: landing.digest}
    if manifest is None:
        return {**told, "flaw": f"its _SUCCESS is {landing.sighting.flaw}, so no more is known of the output"}
    return {
        **told,
        "job": manifest.job,
        "model": manifest.model,
        "rows": manifest.rows,
        "errors": manifest.errors,
        **{name.replace("_", " "): _number(value) for name, value in manifest.tokens.items()},
        "files": landing.sighting.files,
        "bytes": landing.sighting.bytes,
        "duration (s)": (manifest.finished - manifest.started).total_seconds(),
        "started": dg.MetadataValue.timestamp(manifest.started),
        "finished": dg.MetadataValue.timestamp(manifest.finished),
        "dagster/partition_row_count" if partitioned else "dagster/row_count": manifest.rows,
        "dagster/column_schema": plain_schema(manifest),
        **all_columns(manifest),
    }


def _number(value: float) -> int | float:
    return int(value) if float(value).is_integer() else value
