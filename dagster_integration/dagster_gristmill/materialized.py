"""What an asset's materializations say of its outputs."""

from collections.abc import Iterable
from dataclasses import dataclass

import dagster as dg

from dagster_gristmill.provenance import DATA_VERSION

__all__ = ["Materialized", "latest_outputs"]

_NAMES = ("location", "dagster/uri")
"""How a materialization says where its files stand: Gristmill's own word, and Dagster's.

Not `path`, which Dagster's I/O manager has for files that only it can read.
"""

_PAGE = 500
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Materialized:
    """The latest materialization of an asset, or of one of its partitions.

    Attributes:
        partition: the key; None where there is none.
        location: where its files stand; None where it does not say.
        job: the job that made them; None where it does not say.
        version: what tells it from others: its data version, else the event's number.
    """

    partition: str | None
    location: str | None
    job: str | None
    version: str


def latest_outputs(
    instance: dg.DagsterInstance, asset_key: dg.AssetKey, partitions: Iterable[str] | None = None
) -> dict[str | None, Materialized]:
    """The latest materialization of each partition; those that were never materialized are missing.

    Args:
        instance: that keeps the events.
        asset_key: of the asset.
        partitions: the keys; None for the latest materialization of all, under the key None.

    Returns:
        By partition, in the order given.
    """
    if partitions is None:
        records = instance.fetch_materializations(asset_key, limit=1).records
        return {None: _said(records[0])} if records else {}
    wanted = [str(key) for key in partitions]
    found: dict[str | None, Materialized] = {}
    for start in range(0, len(wanted), _AT_ONCE):  # a database takes only so many names in one query
        found |= _newest(instance, asset_key, wanted[start : start + _AT_ONCE])
    return {key: found[key] for key in wanted if key in found}


def _newest(
    instance: dg.DagsterInstance, asset_key: dg.AssetKey, partitions: list[str]
) -> dict[str | None, Materialized]:
    """One query for all, as long as each has been materialized once or twice; a query for each would take longer."""
    records = dg.AssetRecordsFilter(asset_key, asset_partitions=partitions)
    found: dict[str | None, Materialized] = {}
    cursor: str | None = None
    while len(found) < len(partitions):
        page = instance.fetch_materializations(records, limit=_PAGE, cursor=cursor)
        for record in page.records:  # the newest first
            if record.partition_key not in found:
                found[record.partition_key] = _said(record)
        if not page.has_more:
            break
        cursor = page.cursor
    return found


def _said(record: dg.EventLogRecord) -> Materialized:
    event = record.asset_materialization
    assert event is not None
    job = event.metadata.get("job")
    text = None if job is None else job.value
    version = (event.tags or {}).get(DATA_VERSION) or f"event {record.storage_id}"
    return Materialized(event.partition, _location_of(event), text if isinstance(text, str) else None, version)


def _location_of(event: dg.AssetMaterialization) -> str | None:
    """Where the files of a materialization stand; None where it does not say."""
    for name in _NAMES:
        value = event.metadata.get(name)
        text = None if value is None else value.value
        if isinstance(text, str) and text:
            return text
    return None
