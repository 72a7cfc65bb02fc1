"""`GristmillResource`: where jobs live and run, for all assets, checks and sensors of a code location."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import Field

from dagster_gristmill.config import EndpointConfig, PoolConfig
from gristmill.errors import SpecError
from gristmill.settings import Settings
from gristmill.spec.secrets import with_secrets

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

    Example:
        >>> gristmill = GristmillResource(
        ...     home="s3://ops/gristmill",
        ...     pools={"gpu": {"kind": "ray", "address": "http://head:8265", "token": dg.EnvVar("RAY_TOKEN")}},
        ...     storage_secrets={"s3": {"key": dg.EnvVar("S3_KEY"), "secret": dg.EnvVar("S3_SECRET")}},
        ... )
    """

    home: str | None = Field(None, description="Where job records live: a folder or bucket that all machines reach")
    stages: dict[str, str] = Field({}, description="Stage names to the locations they stand for")
    allowed: list[str] = Field([], description="Prefixes, besides the stages, that rows may name files under")
    pools: dict[str, PoolConfig] = Field({}, description="Where jobs run; inline, local and ray are always there")
    default_pool: str | None = Field(None, description="The pool of an asset that names none")
    storage_options: dict[str, dict[str, Any]] = Field({}, description="Keyword arguments of filesystems, by scheme")
    storage_secrets: dict[str, dict[str, str]] = Field({}, description="Those that nobody may see; give EnvVars")
    endpoints: dict[str, EndpointConfig] = Field({}, description="Services that speak the OpenAI API, by name")
    resolver: dict[str, Any] = Field({}, description="Bounds on fetching the files that rows name")

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
        }
        try:
            return Settings.load(**{name: value for name, value in given.items() if value not in (None, {}, [])})
        except SpecError as error:
            raise SpecError(f"GristmillResource: {error}") from error


def _given(config: dg.Config) -> dict[str, Any]:
    """The fields that say something; those that are left open have the settings' own defaults."""
    return {name: value for name, value in config.model_dump().items() if value is not None and value != {}}


def _endpoint(config: EndpointConfig) -> Mapping[str, Any]:
    fields = _given(config)
    return {**fields.pop("options", {}), **fields}
