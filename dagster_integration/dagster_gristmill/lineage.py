"""Upstream lineage: the files that an asset reads, as assets of their own."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from gristmill.jobs.handle import Job

__all__ = ["input_key", "observed"]

_OPEN = re.compile(r"[{*?\[]")
_NO_NAME = re.compile(r"[^\w.-]", re.ASCII)
"""What Dagster takes in no name: it makes the name of an input of these."""
_SCHEME = re.compile(r"^(?:([a-z][a-z0-9+.\-]*)://|@)", re.IGNORECASE)


def input_key(location: str) -> dg.AssetKey | None:
    """The key of the asset that stands for the files at a location: its folders up to the first that varies.

    None where all of it varies.

    Example:
        >>> input_key("s3://lake/orders/{partition}/*.parquet").to_user_string()
        's3/lake/orders'
        >>> input_key("@lake/orders").to_user_string()
        'lake/orders'
    """
    scheme = _SCHEME.match(location)
    parts = [] if scheme is None or scheme[1] is None else [scheme[1].lower()]
    rest = location if scheme is None else location[scheme.end() :]
    fixed = len(parts)
    for part in rest.split("/"):
        if _OPEN.search(part):
            break
        if part not in ("", "."):
            parts.append(_NO_NAME.sub("_", part))
    return dg.AssetKey(parts) if len(parts) > fixed else None


def observed(keys: Iterable[dg.AssetKey], job: "Job", *, by: dg.AssetKey) -> Iterable[dg.AssetObservation]:
    """What a job has read, as an observation of each of its inputs."""
    request = job.request
    for key in keys:
        metadata: dict[str, dg.MetadataValue] = {
            "read by": dg.MetadataValue.asset(by),
            "job": dg.MetadataValue.text(job.id),
            "source": dg.MetadataValue.text(request.source.text),
        }
        if request.rows is not None:
            metadata["rows read"] = dg.MetadataValue.int(request.rows)
        yield dg.AssetObservation(asset_key=key, metadata=metadata)
