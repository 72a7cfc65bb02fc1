"""What a partition fills in locations, and the key of its job: the same for every run, step and try."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import dagster as dg

from gristmill.errors import SpecError
from gristmill.spec.template import Template

__all__ = ["WINDOW", "dimension_tags", "field_names", "fields_of", "job_key", "moment_form", "tell_apart"]

WINDOW = frozenset({"start", "end"})
_SAMPLE = 40
"""So many partitions in a row are looked at, to tell whether they share a location: more than a month has days."""


def field_names(partitions_def: dg.PartitionsDefinition | None) -> frozenset[str]:
    """The fields that templates may have: `partition`, the names of dimensions, `start` and `end` of time windows.

    Example:
        >>> sorted(field_names(dg.DailyPartitionsDefinition("2026-01-01")))
        ['end', 'partition', 'start']

    Raises:
        SpecError: a dimension is named like one of the others.
    """
    if partitions_def is None:
        return frozenset()
    names = {"partition"}
    if isinstance(partitions_def, dg.MultiPartitionsDefinition):
        dimensions = {one.name for one in partitions_def.partitions_defs}
        taken = dimensions & (names | WINDOW)
        if taken:
            raise SpecError(f"partitions_def: the dimension {min(taken)!r} has the name of a field; rename it")
        names |= dimensions
    return frozenset(names | (WINDOW if _time_part(partitions_def) is not None else set()))


def fields_of(partitions_def: dg.PartitionsDefinition | None, key: str | None) -> dict[str, Any]:
    """What a partition fills in: its key, its part of each dimension, the moments of its time window.

    Example:
        >>> fields_of(dg.StaticPartitionsDefinition(["eu", "us"]), "eu")
        {'partition': 'eu'}
    """
    if partitions_def is None or key is None:
        return {}
    fields: dict[str, Any] = {"partition": str(key)}
    parts: Mapping[str, str] = {}
    if isinstance(partitions_def, dg.MultiPartitionsDefinition):
        whole = key if isinstance(key, dg.MultiPartitionKey) else partitions_def.get_partition_key_from_str(key)
        parts = whole.keys_by_dimension
        fields |= parts
    time = _time_part(partitions_def)
    if time is not None:
        name, windows = time
        window = windows.time_window_for_partition_key(key if name is None else parts[name])
        fields |= {"start": window.start, "end": window.end}
    return fields


def dimension_tags(key: str | None) -> dict[str, str]:
    """The tags of an event that tell the parts of its multi-partition, of which it stores the whole as text alone.

    Example:
        >>> dimension_tags(dg.MultiPartitionKey({"region": "eu", "day": "2026-01-01"}))
        {'dagster/partition/day': '2026-01-01', 'dagster/partition/region': 'eu'}
    """
    parts = key.keys_by_dimension if isinstance(key, dg.MultiPartitionKey) else {}
    return {f"dagster/partition/{name}": part for name, part in sorted(parts.items())}


def moment_form(partitions_def: dg.PartitionsDefinition | None) -> str:
    """The form of `{start}` and `{end}` that are given none: that of the partitions' own keys."""
    time = None if partitions_def is None else _time_part(partitions_def)
    return "%Y-%m-%d" if time is None else str(time[1].fmt)


def tell_apart(template: Template, partitions_def: dg.PartitionsDefinition) -> None:
    """Refuse a location that several partitions share: each would replace the output of the one before.

    Raises:
        SpecError: they share it.
    """
    named = set(template.fields)
    if "partition" in named:
        return
    time = _time_part(partitions_def)
    dimensions: list[str | None] = [None]
    if isinstance(partitions_def, dg.MultiPartitionsDefinition):
        dimensions = [one.name for one in partitions_def.partitions_defs]
    for dimension in dimensions:
        is_timed = time is not None and time[0] == dimension and bool(named & WINDOW)
        if dimension in named or (is_timed and time is not None and not _collide(template, time[1])):
            continue
        raise SpecError(
            f"{template.what}: {template.text!r} is the same for several partitions, so each would replace the output "
            "of another; put {partition} into it"
        )


def job_key(asset_key: dg.AssetKey, partition: str | None) -> str:
    """Who asks for a job: an asset and its partition, whatever the run.

    Example:
        >>> job_key(dg.AssetKey(["shop", "scores"]), "2026-01-01"), job_key(dg.AssetKey("scores"), None)
        ('shop/scores:2026-01-01', 'scores')
    """
    asset = "/".join(_escaped(part) for part in asset_key.path)
    return asset if partition is None else f"{asset}:{partition}"


def _escaped(part: str) -> str:
    return part.replace("%", "%25").replace("/", "%2F").replace(":", "%3A")


def _time_part(
    partitions_def: dg.PartitionsDefinition,
) -> "tuple[str | None, dg.TimeWindowPartitionsDefinition] | None":
    """The time windows and their dimension's name; None where there are none."""
    if isinstance(partitions_def, dg.TimeWindowPartitionsDefinition):
        return None, partitions_def
    if isinstance(partitions_def, dg.MultiPartitionsDefinition):
        for one in partitions_def.partitions_defs:
            if isinstance(one.partitions_def, dg.TimeWindowPartitionsDefinition):
                return one.name, one.partitions_def
    return None


def _collide(template: Template, windows: dg.TimeWindowPartitionsDefinition) -> bool:
    """Whether windows share a location: neighbours, as in `{start:%Y-%m}`, or those of other days, as in `{start:%d}`.

    Those to come count too: what is taken today must not be refused tomorrow.
    """
    places = []
    for window in _sample(windows):
        values = {**dict.fromkeys(template.fields, ""), "start": window.start, "end": window.end}
        places.append(template.fill(values, moments=windows.fmt))
    return len(set(places)) < len(places)


def _sample(windows: dg.TimeWindowPartitionsDefinition) -> "list[dg.TimeWindow]":
    """The first windows, and those a day, a month and a year after the first: all of them may be millions."""
    found = list(islice(_windows_from(windows, windows.start), _SAMPLE))
    for later in (timedelta(days=1), timedelta(days=31), timedelta(days=365), timedelta(days=366)):
        if found:
            found += islice(_windows_from(windows, found[0].start + later), 1)
    return list(dict.fromkeys(found))


def _windows_from(windows: dg.TimeWindowPartitionsDefinition, moment: datetime) -> "Iterator[dg.TimeWindow]":
    window = windows.get_next_partition_window(moment, respect_bounds=False)
    while window is not None and (windows.end is None or window.end <= windows.end):
        yield window
        window = windows.get_next_partition_window(window.end, respect_bounds=False)
