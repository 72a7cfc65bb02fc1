"""`sentinel_sensor`: a sensor that sees outputs land, whoever wrote them, and tells Dagster once of each."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from dagster_gristmill.path_partition import PathPartition
from dagster_gristmill.targets import partitions_of, partitions_told, refuse_unpartitioned
from gristmill.errors import SpecError
from gristmill.outputs.condition import SentinelCondition

if TYPE_CHECKING:
    from gristmill.outputs.landing import Landing, Round
    from gristmill.outputs.places import Listing, Places

__all__ = ["sentinel_sensor"]

_NAMED = 3


def sentinel_sensor(
    name: str,
    *,
    location: str | os.PathLike[str],
    asset_key: "dg.AssetKey | dg.AssetSpec | str | Sequence[str] | None" = None,
    target: Any = None,
    job: Any = None,
    asset_selection: Any = None,
    partitions_def: dg.PartitionsDefinition | None = None,
    partition_key: str | Mapping[str, str] | None = None,
    job_id: str | None = None,
    newer_than: datetime | str | None = None,
    min_rows: int | None = None,
    max_error_rate: float | None = None,
    minimum_interval_seconds: int = 30,
    looks_per_tick: int = 500,
    default_status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.STOPPED,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
    resource_key: str = "gristmill",
) -> dg.SensorDefinition:
    """A sensor that fires for each `_SUCCESS` that lands at a location, once, with the partition that its path names.

    With `asset_key` it reports a materialization of that asset, which is meant to be an external one: rows, errors,
    tokens and columns come from the manifest. With a target it requests a run. Both may be given.

    A later publication at the same location fires again; a file that was touched does not, nor does anything when the
    sensor is stopped for a while, its cursor reset, or the storage away: runs are told apart by their run key,
    materializations by their metadata `sentinel`. What is there when the sensor first starts is new; `newer_than`
    excludes it. A `_SUCCESS` of another tool fires when it has not changed from one tick to the next.

    Each tick lists the folders that stand for fields, and asks for the version of each `_SUCCESS` (what takes longer
    than 20 seconds is left to the next tick). The cursor takes 7 bytes for each location, and Dagster keeps it with
    each tick: let a sensor of many thousands look every few minutes.

    Args:
        name: the sensor's name.
        location: where outputs land: a stage, path or URL, with fields for the folders of partitions, such as
            `s3://lake/scores/{region}/{date}`; without fields it is one location.
        asset_key: the asset to report materializations of (`shop/scores`), or its spec.
        target: what to run, as for `dg.sensor`.
        job: a job to run, or its name.
        asset_selection: assets to run.
        partitions_def: the partitions. A key that is none of them is waited for, and named; dynamic ones are added.
            None takes those of the target or spec.
        partition_key: what the key is where the fields do not make it: a template such as `{year}-{month}-{day}`, or
            one for each dimension. Empty: there are no partitions, whatever the fields.
        job_id: only what this job wrote.
        newer_than: only what was finished after this moment: a datetime or ISO text, with a time zone.
        min_rows: only an output of at least so many rows.
        max_error_rate: only an output of which at most this share of rows failed, 0 to 1.
        minimum_interval_seconds: between two ticks.
        looks_per_tick: how many sentinels may be read, and so fire, in one tick; the next tick goes on.
        default_status: whether it runs from the start.
        description: what people read of it.
        tags: of the sensor.
        resource_key: the `GristmillResource` that gives stages and credentials.

    Raises:
        SpecError: an argument cannot be right; the message names it.

    Example:
        >>> days = dg.DailyPartitionsDefinition("2026-01-01")
        >>> sensor = sentinel_sensor(
        ...     "scores_landed",
        ...     location="s3://lake/scores/{date}",
        ...     asset_key=dg.AssetSpec("scores", partitions_def=days),
        ...     max_error_rate=0.01,
        ... )
    """
    targets = {"target": target, "job": job, "asset_selection": asset_selection}
    given = {field: value for field, value in targets.items() if value is not None}
    try:
        watch = _watch(
            location,
            asset_key,
            given,
            partitions_def=partitions_def,
            partition_key=partition_key,
            condition=SentinelCondition(
                job_id=job_id, newer_than=newer_than, min_rows=min_rows, max_error_rate=max_error_rate
            ),
            looks=looks_per_tick,
            resource_key=resource_key,
        )
    except SpecError as error:
        raise SpecError(f"sentinel_sensor {name!r}: {error}") from error

    def evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return watch.among(context).look(context)

    if isinstance(job, str):
        given = {"job_name": job}
    return dg.SensorDefinition(
        name,
        evaluation_fn=evaluate,
        minimum_interval_seconds=minimum_interval_seconds,
        description=description or f"Fires once for each _SUCCESS at {watch.places.text}",
        default_status=default_status,
        required_resource_keys={resource_key},
        tags=tags,
        **given,
    )


@dataclass(frozen=True, slots=True)
class _Watch:
    """What a sensor looks for, and what it tells of it."""

    places: "Places"
    partition: PathPartition
    condition: SentinelCondition
    partition_key: str | Mapping[str, str] | None
    asset_key: dg.AssetKey | None
    targets: Mapping[str, Any]
    looks: int
    resource_key: str

    @property
    def requests_runs(self) -> bool:
        return bool(self.targets)

    def among(self, context: dg.SensorEvaluationContext) -> "_Watch":
        """With the partitions of its target, where only the definitions that it stands among tell them."""
        repository = context.repository_def
        if not self.targets or self.partition.is_none or self.partition.is_checked or repository is None:
            return self
        definition = partitions_of(self.targets, repository)
        return replace(self, partition=_partition(self.places, definition, self.partition_key))

    def look(self, context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from gristmill.outputs.known import Known
        from gristmill.outputs.landing import go_round
        from gristmill.storage.storage import Storage

        storage = Storage(getattr(context.resources, self.resource_key).settings())
        keys, listing, strange = self._keyed(self.places.found(storage), context)
        known = Known.from_text(context.cursor, of=self._of())
        found = go_round(storage, listing, known, self.condition, looks=self.looks)
        return self._result(found, keys, strange, context)

    def _keyed(
        self, listing: "Listing", context: dg.SensorEvaluationContext
    ) -> "tuple[dict[str, str | None], Listing, list[str]]":
        """Each place's key, the places whose key is a partition, and the rest as text."""
        keys = {place.location: self.partition.key(place.fields) for place in listing.places}
        if self.partition.is_none:
            return keys, listing, []
        known = self.partition.known(keys.values(), context.instance)
        strange = [f"{place}: {key!r} is no partition" for place, key in keys.items() if key not in known]
        if strange:
            places = tuple(place for place in listing.places if keys[place.location] in known)
            listing = replace(listing, places=places)
        return keys, listing, strange

    def _result(
        self,
        found: "Round",
        keys: Mapping[str, str | None],
        strange: list[str],
        context: dg.SensorEvaluationContext,
    ) -> dg.SensorResult:
        from dagster_gristmill.landed import is_reported, materialization_of, run_request_of

        def key_of(landing: "Landing") -> str | None:
            return keys[landing.place.location]

        key = self.asset_key
        reported = [
            one for one in found.news if key is not None and not is_reported(one, context.instance, key, key_of(one))
        ]
        told = found.news if self.requests_runs else tuple(reported)
        text = "; ".join([replace(found, news=told).told(), *strange[:_NAMED], *_rest(strange)])
        if found.troubles:
            context.log.warning(text)
        elif self.requests_runs and told:
            context.log.info(text)
        requests = [run_request_of(one, key_of(one)) for one in told] if self.requests_runs else []
        events = [materialization_of(one, key, key_of(one)) for one in reported] if key is not None else []
        dynamic = self.partition.additions(map(key_of, told), context.instance) if told else []
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else text,
            cursor=found.known.to_text(),
            asset_events=events,
            dynamic_partitions_requests=dynamic,
        )

    def _of(self) -> str:
        """What is looked for: whatever of it changes, all is looked at again."""
        asset = None if self.asset_key is None else self.asset_key.to_user_string()
        condition = self.condition.model_dump(mode="json")
        told = [self.places.text, condition, asset, self.requests_runs, self.partition_key]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _watch(
    location: str | os.PathLike[str],
    asset: Any,
    targets: Mapping[str, Any],
    *,
    partitions_def: dg.PartitionsDefinition | None,
    partition_key: str | Mapping[str, str] | None,
    condition: SentinelCondition,
    looks: int,
    resource_key: str,
) -> _Watch:
    from gristmill.outputs.places import Places

    if not targets and asset is None:
        raise SpecError("give asset_key, to report materializations of it, or target, to request runs")
    if len(targets) > 1:
        raise SpecError(f"give one of target, job and asset_selection (given: {', '.join(targets)})")
    if looks < 1:
        raise SpecError(f"looks_per_tick: give a number above 0 (given: {looks!r})")
    places = Places(location)
    target = next(iter(targets.values()), None)
    spec = asset if isinstance(asset, dg.AssetSpec) else None
    partition = _partition(places, _partitions(partitions_def, spec, target), partition_key)
    if not partition.is_none:
        refuse_unpartitioned(target)
    return _Watch(places, partition, condition, partition_key, _key_of(asset), targets, looks, resource_key)


def _partition(
    places: "Places", partitions_def: dg.PartitionsDefinition | None, partition_key: str | Mapping[str, str] | None
) -> PathPartition:
    return PathPartition(
        places.fields,
        partitions_def=partitions_def,
        partition_key=partition_key,
        what=f"location {places.text!r}",
    )


def _key_of(asset: Any) -> dg.AssetKey | None:
    if asset is None or isinstance(asset, dg.AssetSpec):
        return None if asset is None else asset.key
    return dg.AssetKey.from_user_string(asset) if isinstance(asset, str) else dg.AssetKey.from_coercible(asset)


def _rest(strange: list[str]) -> list[str]:
    return [f"{len(strange) - _NAMED:,} more are no partitions"] if len(strange) > _NAMED else []


def _partitions(
    given: dg.PartitionsDefinition | None, spec: dg.AssetSpec | None, target: Any
) -> dg.PartitionsDefinition | None:
    if given is not None:
        return given
    own = partitions_told(target)
    return own if own is not None else None if spec is None else spec.partitions_def
