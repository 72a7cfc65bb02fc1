"""What the step of an asset does: its jobs, the events that record them, and its checks."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from dagster_gristmill.checks import Examined, check_results
from dagster_gristmill.failures import as_failure
from dagster_gristmill.inputs import asset_input
from dagster_gristmill.lineage import observed
from dagster_gristmill.materialized import latest_outputs
from dagster_gristmill.partition import dimension_tags
from dagster_gristmill.provenance import DATA_VERSION, provenance
from dagster_gristmill.rerun import forced_by, rerun_wish
from dagster_gristmill.step import Finished, Step
from gristmill.errors import GristmillError

if TYPE_CHECKING:
    from dagster_gristmill.options import StepOptions
    from dagster_gristmill.request import BatchRequest
    from gristmill.settings import Settings

__all__ = ["execute"]

_RECORDED = "__source_asset_observation__"
"""In the metadata of an output: Dagster records no materialization for it. Each of the partitions has been recorded on
its own, as it finished, with its own data version; recorded once more, it would count as new for all that builds on it.
"""


def execute(
    context: dg.AssetExecutionContext,
    settings: "Settings",
    request: "BatchRequest",
    *,
    asset_key: dg.AssetKey,
    partitions_def: dg.PartitionsDefinition | None,
    sources: Sequence[dg.AssetKey],
    options: "StepOptions",
) -> Iterator[Any]:
    """The events of a step, which materializes the asset, examines its output, or both, as the run selects.

    Args:
        context: of the step.
        settings: the settings in force.
        request: what is asked of each partition.
        asset_key: of the asset.
        partitions_def: its partitions; a run of checks alone does not know them.
        sources: the assets that stand for the files that are read.
        options: how the step goes about its jobs.

    Raises:
        Failure: a job has failed.
    """
    partitions = _partitions(context, partitions_def)
    examined: list[Examined] = []
    is_single = len(partitions) == 1
    failure: dg.Failure | None = None
    if asset_key in context.selected_asset_keys:
        try:
            forced = options.force_rerun or forced_by(context.run.tags)
        except GristmillError as error:
            raise as_failure(error) from error
        wish = rerun_wish(context.run, context.instance.get_run_by_id) if forced else False
        origin = {} if is_single else provenance(context, asset_key)
        step = Step(
            asset_key=asset_key,
            partitions=partitions,
            partitions_def=partitions_def,
            request=request,
            settings=settings,
            given=lambda partition: (
                None
                if request.input_asset is None
                else asset_input(context, request.input_asset, partition, settings=settings)
            ),
            holder=f"{context.run.run_id} try {context.retry_number + 1}",
            force_rerun=wish,
            options=options,
            log=context.log,
            is_terminated=lambda: _is_terminated(context),
        )

        def record(finished: Finished) -> Iterator[Any]:
            examined.append(Examined(finished.partition, finished.job.location, finished.job.id))
            if context.retry_number and not is_single and _is_recorded(context, asset_key, finished.partition):
                return
            yield from observed(sources, finished.job, by=asset_key)
            yield from _recorded(asset_key, finished, is_single=is_single, origin=origin)

        try:
            yield from step.run(record)
        except dg.Failure as error:
            failure = error
        if failure is None and not is_single:
            yield dg.MaterializeResult(asset_key=asset_key, metadata={_RECORDED: True})
    else:
        examined = _standing(context, asset_key, partitions)
    names = [key.name for key in context.selected_asset_check_keys if key.asset_key == asset_key]
    if options.checks is not None and names and examined:
        try:
            yield from check_results(
                options.checks, asset_key=asset_key, names=names, outputs=examined, settings=settings
            )
        except Exception as error:
            if failure is None:
                raise
            context.log.warning("the outputs cannot be examined: %s", error)  # which partitions failed matters more
    if failure is not None:
        raise failure


def _is_terminated(context: dg.AssetExecutionContext) -> bool:
    run = context.instance.get_run_by_id(context.run.run_id)
    return run is not None and run.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)


def _partitions(context: dg.AssetExecutionContext, partitions_def: dg.PartitionsDefinition | None) -> list[str | None]:
    is_partitioned = context.has_partition_key or context.has_partition_key_range
    if partitions_def is None or not is_partitioned:  # a run may have a partition that is other assets' alone
        return [None]
    if context.selected_asset_keys:
        return [*context.partition_keys]
    # a run of checks alone has none of these
    if not context.has_partition_key_range:
        return [context.partition_key]
    with dg.partition_loading_context(dynamic_partitions_store=context.instance):
        return [*partitions_def.get_partition_keys_in_range(context.partition_key_range)]


def _recorded(
    asset_key: dg.AssetKey,
    finished: Finished,
    *,
    is_single: bool,
    origin: Mapping[str, str],
) -> Iterator[Any]:
    from dagster_gristmill.metadata import data_version, materialization_metadata

    partition = finished.partition
    metadata = materialization_metadata(finished.job, finished.manifest, partitioned=partition is not None)
    version = data_version(finished.manifest)
    if is_single:
        yield dg.MaterializeResult(asset_key=asset_key, metadata=metadata, data_version=version)
    else:
        tags = {**origin, **dimension_tags(partition), DATA_VERSION: version.value}
        yield dg.AssetMaterialization(asset_key, partition=partition, metadata=metadata, tags=tags)


def _is_recorded(context: dg.AssetExecutionContext, asset_key: dg.AssetKey, partition: str | None) -> bool:
    """Whether an earlier try of this step has recorded the partition."""
    wanted = dg.AssetRecordsFilter(asset_key, asset_partitions=[str(partition)])
    found = context.instance.fetch_materializations(wanted, limit=1).records
    return bool(found) and found[0].run_id == context.run.run_id


def _standing(
    context: dg.AssetExecutionContext, asset_key: dg.AssetKey, partitions: Sequence[str | None]
) -> list[Examined]:
    """What the latest materializations have left: of the run's partitions, or of any one, where the run has none."""
    keys = [str(key) for key in partitions if key is not None]
    latest = list(latest_outputs(context.instance, asset_key, keys or None).values())
    found = [Examined(one.partition, one.location, one.job) for one in latest if one.location is not None]
    if not found:
        raise dg.Failure(
            f"{asset_key.to_user_string()!r} was never materialized, so there is no output to examine; materialize it "
            "first",
            allow_retries=False,
        )
    return found
