"""`GristmillResource`: where jobs live and run, for all assets, checks and sensors of a code location."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from dagster_gristmill.config import STRICT, EndpointConfig, PoolConfig, with_variables
from gristmill.errors import SpecError
from gristmill.settings import Settings
from gristmill.spec.secrets import with_secrets

if TYPE_CHECKING:
    from gristmill.outputs.checks import OutputChecks

__all__ = ["GristmillResource"]


class GristmillResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The settings of jobs. What is left open comes from `gristmill.toml` and the `GRISTMILL_` variables.

    Secrets are given as `dg.EnvVar`: they are read where a run starts, and stand neither in its configuration nor in a
    job's record.

    Attributes:
        home: where job records live, any location; all of Dagster's machines must reach it.
        stages: stage names to the locations they stand for.
        allowed: prefixes, besides the stages, that rows may name files under.
        pools: pools by name; `inline`, `local` and `ray` exist unless they are redefined.
        default_pool: the pool of an asset that names none.
        storage_options: by scheme (`s3`, `gs`, ...): keyword arguments of the fsspec filesystem.
        storage_secrets: those of them that nobody may see.
        endpoints: services that speak the OpenAI API, by name.
        resolver: bounds on fetching the files that rows name.
        registry: the MLflow server that `models:/name/version` is looked up in, without a password.
        trusted_registries: the only registries that models may be loaded from; None for any.
        model_cache: a folder of each machine that runs models, for the files of registered ones.

    Example:
        >>> gristmill = GristmillResource(
        ...     home="s3://ops/gristmill",
        ...     pools={"gpu": {"kind": "ray", "address": "http://head:8265", "token": dg.EnvVar("RAY_TOKEN")}},
        ...     storage_secrets={"s3": {"key": dg.EnvVar("S3_KEY"), "secret": dg.EnvVar("S3_SECRET")}},
        ... )
    """

    model_config = STRICT

    home: str | None = Field(None, description="Where job records live: a folder or bucket that all machines reach")
    stages: dict[str, str] = Field({}, description="Stage names to the locations they stand for")
    allowed: list[str] = Field([], description="Prefixes, besides the stages, that rows may name files under")
    pools: dict[str, PoolConfig] = Field({}, description="Where jobs run; inline, local and ray are always there")
    default_pool: str | None = Field(None, description="The pool of an asset that names none")
    storage_options: dict[str, dict[str, Any]] = Field({}, description="Keyword arguments of filesystems, by scheme")
    storage_secrets: dict[str, dict[str, str]] = Field({}, description="Those that nobody may see; give EnvVars")
    endpoints: dict[str, EndpointConfig] = Field({}, description="Services that speak the OpenAI API, by name")
    resolver: dict[str, Any] = Field({}, description="Bounds on fetching the files that rows name")
    registry: str | None = Field(None, description="The MLflow server that models:/name/version is looked up in")
    trusted_registries: list[str] | None = Field(None, description="The only registries that models may come from")
    model_cache: str | None = Field(None, description="A folder of each machine for the files of registered models")

    def settings(self) -> Settings:
        """The settings in force, for `gristmill.run_batch(..., settings=...)` and the like.

        Raises:
            SpecError: a field is wrong; the message repeats no secret.
        """
        given = {
            "home": self.home,
            "stages": self.stages,
            "allowed": self.allowed,
            "pools": {name: _given(pool) for name, pool in self.pools.items()},
            "default_pool": self.default_pool,
            "storage_options": with_secrets(self.storage_options, self.storage_secrets),
            "endpoints": {name: _endpoint(one) for name, one in self.endpoints.items()},
            "resolver": self.resolver,
            "registry": self.registry,
            "model_cache": self.model_cache,
        }
        try:
            said = {name: value for name, value in given.items() if value not in (None, {}, [])}
            if self.trusted_registries is not None:  # none at all trusts none
                said["trusted_registries"] = self.trusted_registries
            return Settings.load(**{name: with_variables(value, what=name) for name, value in said.items()})
        except SpecError as error:
            raise SpecError(f"GristmillResource: {error}") from error

    def run(
        self,
        context: dg.AssetExecutionContext,
        *,
        model: Any,
        output_spec: Any,
        X: Any = None,  # noqa: N803 - the name users know
        input_location: Any = None,
        query: str | None = None,
        input_files: Any = None,
        input_format: str | None = None,
        input_spec: Any = None,
        job_spec: Any = None,
        inference_engine_options: Mapping[str, Any] | None = None,
        compute_pool: str | None = None,
        fail_on_errors: bool | float | str | None = None,
        force_rerun: bool = False,
        checks: "OutputChecks | None" = None,
        asset_key: Any = None,
        partitions_at_once: int = 1,
        poll_interval: float = 5.0,
        log_interval: float = 30.0,
    ) -> Iterator[Any]:
        """Run a model over a dataset from an asset of one's own: `yield from gristmill.run(context, ...)`.

        Starts the job of the asset and its partition, attaches to the one that an earlier try has started, or returns
        what is done; see `batch_inference_asset`, whose arguments these are. A run of several partitions has a job for
        each. The job's progress goes to the log, and what it prints to `stdout`; it is cancelled when the run is
        terminated.

        Args:
            context: of the step.
            model: a reference, or an object.
            output_spec: where the results go; locations may have fields such as `{partition}`.
            X: the rows: a frame, `gristmill.list_files(...)`, ...; or a function of the partition's key that returns
                them.
            input_location: files or a glob, instead of X.
            query: SQL over files, instead of X.
            input_files: files as rows of one column, instead of X.
            input_format: the format of the files, where their names do not tell.
            input_spec: params and file columns.
            job_spec: replicas, resources, what to do with failing rows.
            inference_engine_options: the engine and its options.
            compute_pool: the pool.
            fail_on_errors: fail when more rows than this have failed.
            force_rerun: compute what is done again.
            checks: what is asked of the output, where the asset has `check_specs=check_specs(key, checks)`.
            asset_key: which asset it is, in a step of several.
            partitions_at_once: jobs side by side, in a run of several partitions.
            poll_interval: seconds between two looks at a job at most.
            log_interval: seconds between lines of progress.

        Returns:
            Dagster's events: `MaterializeResult` (`AssetMaterialization` for each of several partitions), and
            `AssetCheckResult`.

        Raises:
            Failure: the request is wrong (then it is not tried again), or a job has failed.

        Example:
            >>> @dg.asset
            ... def scores(context: dg.AssetExecutionContext, gristmill: GristmillResource):
            ...     yield from gristmill.run(
            ...         context,
            ...         model="python:shop.models:Prices",
            ...         input_location="s3://lake/orders",
            ...         output_spec={"location": "s3://lake/scores", "mode": "overwrite"},
            ...     )
        """
        from dagster_gristmill.execution import execute
        from dagster_gristmill.failures import as_failure
        from dagster_gristmill.options import StepOptions
        from dagster_gristmill.request import BatchRequest

        request = BatchRequest(
            model=model,
            output_spec=output_spec,
            frame=X,
            input_location=input_location,
            query=query,
            input_files=input_files,
            input_format=input_format,
            input_spec=input_spec,
            job_spec=job_spec,
            inference_engine_options=inference_engine_options,
            compute_pool=compute_pool,
            fail_on_errors=fail_on_errors,
        )
        options = StepOptions(
            checks=checks,
            force_rerun=force_rerun,
            partitions_at_once=partitions_at_once,
            poll_interval=poll_interval,
            log_interval=log_interval,
        )
        try:
            options.check()
            request.check(context.assets_def.partitions_def)
            settings = self.settings()
        except SpecError as error:
            raise as_failure(error) from error
        yield from execute(
            context,
            settings,
            request,
            asset_key=context.asset_key if asset_key is None else dg.AssetKey.from_coercible(asset_key),
            partitions_def=context.assets_def.partitions_def,
            sources=[],
            options=options,
        )


def _given(config: dg.Config) -> dict[str, Any]:
    """The fields that say something; those that are left open have the settings' own defaults."""
    return {name: value for name, value in config.model_dump().items() if value is not None and value != {}}


def _endpoint(config: EndpointConfig) -> Mapping[str, Any]:
    fields = _given(config)
    return {**fields.pop("options", {}), **fields}
