"""`batch_inference_asset`: a model over a dataset, as an asset."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from dagster_gristmill.checks import check_specs
from dagster_gristmill.execution import execute
from dagster_gristmill.failures import as_failure
from dagster_gristmill.lineage import input_key
from dagster_gristmill.options import StepOptions
from dagster_gristmill.request import BatchRequest
from dagster_gristmill.resource import GristmillResource
from gristmill.errors import SpecError
from gristmill.outputs.checks import OutputChecks

__all__ = ["batch_inference_asset"]


def batch_inference_asset(
    key: dg.AssetKey | str | Sequence[str],
    *,
    model: Any,
    output_spec: Any,
    input_location: Any = None,
    query: str | None = None,
    input_files: Any = None,
    input_asset: Any = None,
    input_format: str | None = None,
    input_spec: Any = None,
    job_spec: Any = None,
    inference_engine_options: Mapping[str, Any] | None = None,
    compute_pool: str | None = None,
    fail_on_errors: bool | float | str | None = None,
    force_rerun: bool = False,
    partitions_def: dg.PartitionsDefinition | None = None,
    backfill_policy: dg.BackfillPolicy | None = None,
    partitions_at_once: int = 1,
    checks: OutputChecks | None = OutputChecks(),  # noqa: B008 - frozen
    deps: Iterable[Any] = (),
    group_name: str | None = None,
    description: str | None = None,
    kinds: Iterable[str] | None = None,
    tags: Mapping[str, str] | None = None,
    owners: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    code_version: str | None = None,
    automation_condition: dg.AutomationCondition | None = None,  # type: ignore[type-arg]
    freshness_policy: dg.FreshnessPolicy | None = None,
    pool: str | None = None,
    retry_policy: dg.RetryPolicy | None = None,
    op_tags: Mapping[str, Any] | None = None,
    io_manager_key: str | None = None,
    resource_key: str = "gristmill",
    poll_interval: float = 5.0,
    log_interval: float = 30.0,
) -> dg.AssetsDefinition:
    """An asset whose partitions are the outputs of a model: Parquet and `_SUCCESS`, each the work of one job.

    An asset and its partition are one job, whatever the run: a retry attaches to the live job, takes the finished one,
    or resumes what a failed one has not committed. Materializing a finished partition again does no work, unless the
    request has changed or the run has the tag `gristmill/force_rerun: "true"`. Terminating the run cancels its jobs.

    Locations and queries may have fields: `{partition}`, the dimensions of a multi-partition by their names, and
    `{start}` and `{end}` of a time window, with a form where it is not to be the key's own: `{start:%Y/%m/%d}`.

    Args:
        key: of the asset.
        model: a reference such as `python:package.module:Class`, `hf:org/name`, or an object; see
            `gristmill.run_batch`.
        output_spec: where the results go: `OutputSpec(...)`, or a dict of its fields.
        input_location: files or a glob of Parquet, CSV, JSONL or Arrow.
        query: SQL over files.
        input_files: files as rows of one column: a location, or `{"location": ..., "pattern": ...,
            "column_name": ...}`.
        input_asset: the asset whose output is the input: its files where its materialization says where they stand
            (`location` or `dagster/uri` in its metadata), else what its I/O manager loads. A `dg.AssetDep` may map
            partitions.
        input_format: the format of the files, where their names do not tell.
        input_spec: params and file columns: `InputSpec(...)`, or a dict.
        job_spec: replicas, resources, what to do with failing rows: `JobSpec(...)`, or a dict.
        inference_engine_options: `{"engine": ..., "engine_args_override": [...]}` and the engine's own options.
        compute_pool: the pool of the settings in which jobs run; `pool` is Dagster's, for its limits on concurrency.
        fail_on_errors: fail when more rows than this have failed: True for any, a number, or a share below 1.
        force_rerun: compute again in each run.
        partitions_def: the partitions; one job for each.
        backfill_policy: `BackfillPolicy.single_run()` for all partitions of a backfill in one run, each recorded as it
            finishes; by default each has a run of its own.
        partitions_at_once: jobs side by side, in a run of several partitions.
        checks: what is asked of each output; None for nothing.
        deps: upstream assets. Without any, the files that are read stand for one.
        group_name: as of all assets, like `description`, `kinds`, `tags`, `owners`, `metadata`, `automation_condition`,
            `freshness_policy`, `pool`, `retry_policy`, `op_tags` and `io_manager_key`.
        description: see above.
        kinds: see above; besides `gristmill`, at most nine more.
        tags: see above.
        owners: see above.
        metadata: see above.
        code_version: tells a changed definition from the old one; by default a digest of the request.
        automation_condition: see above.
        freshness_policy: see above.
        pool: see above.
        retry_policy: of the step. A request that cannot be right is not tried again.
        op_tags: see above.
        io_manager_key: loads the output for assets that build on it; see `GristmillIOManager`.
        resource_key: of the `GristmillResource`.
        poll_interval: seconds between two looks at a job at most; the first ones come sooner.
        log_interval: seconds between lines of progress.

    Raises:
        SpecError: the definition cannot be right.

    Example:
        >>> scores = batch_inference_asset(
        ...     "scores",
        ...     model="python:shop.models:Prices",
        ...     input_location="s3://lake/orders/{partition}",
        ...     output_spec={"location": "s3://lake/scores/{partition}", "mode": "overwrite"},
        ...     partitions_def=dg.DailyPartitionsDefinition("2026-01-01"),
        ... )
        >>> sorted(key.to_user_string() for key in scores.dependency_keys)
        ['s3/lake/orders']
    """
    asset_key = dg.AssetKey.from_coercible(key)
    options = StepOptions(
        checks=checks,
        force_rerun=force_rerun,
        partitions_at_once=partitions_at_once,
        poll_interval=poll_interval,
        log_interval=log_interval,
    )
    options.check()
    for name, several in (("deps", deps), ("kinds", kinds)):
        if isinstance(several, str):
            raise SpecError(f"{name}: give a list, such as [{several!r}] (given: {several!r})")
    upstream = None if input_asset is None else _as_dep(input_asset)
    request = BatchRequest(
        model=model,
        output_spec=output_spec,
        input_location=input_location,
        query=query,
        input_files=input_files,
        input_asset=None if upstream is None else upstream.asset_key,
        input_format=input_format,
        input_spec=input_spec,
        job_spec=job_spec,
        inference_engine_options=inference_engine_options,
        compute_pool=compute_pool,
        fail_on_errors=fail_on_errors,
    )
    request.check(partitions_def)
    given = [*deps, *([] if upstream is None else [upstream])]
    sources = [] if given else _sources(request)
    spec = dg.AssetSpec(
        asset_key,
        deps=[*given, *sources],
        description=description,
        metadata=metadata,
        group_name=group_name,
        code_version=request.code_version if code_version is None else code_version,
        automation_condition=automation_condition,
        freshness_policy=freshness_policy,
        owners=owners,
        tags=tags,
        kinds={"gristmill", *(kinds or ())},
        partitions_def=partitions_def,
    )
    asked = [] if checks is None else check_specs(asset_key, checks)

    @dg.multi_asset(
        name=asset_key.to_python_identifier(),
        specs=[spec if io_manager_key is None else spec.with_io_manager_key(io_manager_key)],
        check_specs=asked,
        can_subset=bool(asked),
        backfill_policy=backfill_policy,
        retry_policy=retry_policy,
        op_tags=op_tags,
        pool=pool,
        required_resource_keys={resource_key},
    )
    def compute(context: dg.AssetExecutionContext) -> Iterator[Any]:
        resource: GristmillResource = getattr(context.resources, resource_key)
        try:
            settings = resource.settings()
        except SpecError as error:
            raise as_failure(error) from error
        yield from execute(
            context,
            settings,
            request,
            asset_key=asset_key,
            partitions_def=partitions_def,
            sources=sources,
            options=options,
        )

    return compute


def _as_dep(given: Any) -> dg.AssetDep:
    return given if isinstance(given, dg.AssetDep) else dg.AssetDep(given)


def _sources(request: BatchRequest) -> list[dg.AssetKey]:
    """The assets that stand for the files that are read, each once."""
    keys = [input_key(place) for place in request.input_locations]
    return list(dict.fromkeys(key for key in keys if key is not None))
