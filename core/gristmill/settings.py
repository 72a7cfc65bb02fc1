"""Settings: where jobs live, which stages and pools there are, what may be opened.

Read from `gristmill.toml` (in the working folder, or the file that `GRISTMILL_CONFIG` names) and from the environment
(`GRISTMILL_HOME`, `GRISTMILL_STAGES='{"sales.public.images": "s3://bucket/images"}'`); the environment wins.

Example of a `gristmill.toml`::

    home = "s3://ops/gristmill"
    allowed = ["s3://datalake/raw/"]

    [stages]
    "sales.public.images" = "s3://datalake/images"
    scores = "/mnt/scores"

    [storage_options.s3]
    endpoint_url = "http://127.0.0.1:9000"

    [pools.gpu]
    kind = "ray"
    address = "http://head.cluster:8265"
"""

import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from gristmill.errors import SpecError
from gristmill.spec.base import Spec, spec_error

__all__ = ["PoolSettings", "ResolverSettings", "Settings"]


class PoolSettings(Spec):
    """One place where jobs run.

    Attributes:
        kind: `inline` runs in this process (notebooks, debugging, `memory://`); `local` in a process of its own on this
            machine; `ray` on Ray.
        address: for `ray`: the `http(s)://host:8265` address of a cluster's Jobs API; none starts Ray on this machine.
        runtime_env: for `ray`: the runtime environment of the job, as Ray's documentation describes it.
        placement_timeout: seconds to wait for the first replica to be placed.
        init: for `ray` without an address: keyword arguments of `ray.init`, such as `{"num_gpus": 2}`.
    """

    kind: Literal["inline", "local", "ray"]
    address: str | None = None
    runtime_env: dict[str, Any] = Field(default={}, repr=False)
    placement_timeout: PositiveFloat = 300.0
    init: dict[str, Any] = {}

    @field_validator("address")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("is not the address of a Jobs API; write it as 'http://host:8265'")
        return value


class ResolverSettings(Spec):
    """Bounds on fetching the files that rows name.

    Attributes:
        max_in_flight: files being fetched at once, by one worker.
        max_bytes_in_flight: bytes fetched and not yet used, by one worker.
        max_file_bytes: a larger file is a row error.
        timeout: seconds for one attempt at one file.
        attempts: tries at one file when the failure may pass (time-outs, throttling, dropped connections).
        backoff: seconds before the second try; twice as many before each further one.
    """

    max_in_flight: PositiveInt = 64
    max_bytes_in_flight: PositiveInt = 256 * 1024**2
    max_file_bytes: PositiveInt = 1024**3
    timeout: PositiveFloat = 60.0
    attempts: PositiveInt = 5
    backoff: NonNegativeFloat = 0.2


def _default_home() -> str:
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return str(Path(data) / "gristmill")


_BUILT_IN_POOLS = {
    "inline": PoolSettings(kind="inline"),
    "local": PoolSettings(kind="local"),
    "ray": PoolSettings(kind="ray"),
}


class Settings(BaseSettings):
    """The settings in force.

    Attributes:
        home: where job records live, any location.
        stages: stage name (`name` or `DB.SCHEMA.STAGE`, any case) to the location it stands for.
        allowed: prefixes, besides the stages, that rows may name files under.
        storage_options: by scheme (`s3`, `gs`, ...): keyword arguments of the fsspec filesystem.
        pools: pools by name; `inline`, `local` and `ray` exist unless they are redefined.
        default_pool: the pool of a job that names none.
        resolver: bounds on fetching files.
    """

    model_config = SettingsConfigDict(env_prefix="GRISTMILL_", env_nested_delimiter="__", frozen=True, extra="forbid")

    home: str = Field(default_factory=_default_home)
    stages: dict[str, str] = {}
    allowed: tuple[str, ...] = ()
    storage_options: dict[str, dict[str, Any]] = Field(default={}, repr=False)
    pools: dict[str, PoolSettings] = {}
    default_pool: str = "local"
    resolver: ResolverSettings = ResolverSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not a source of ours
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not a source of ours
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment, then the file."""
        named = os.environ.get("GRISTMILL_CONFIG", "gristmill.toml")
        if not named:
            return (init_settings, env_settings)
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, Path(named)))

    @classmethod
    def load(cls, **overrides: Any) -> "Settings":
        """The settings in force, with `overrides` on top.

        Raises:
            SpecError: a setting is not known or has a wrong value.
        """
        config = os.environ.get("GRISTMILL_CONFIG")
        if config and not Path(config).is_file():
            raise SpecError(f"GRISTMILL_CONFIG names {config!r}, which is not a file")
        try:
            return cls(**overrides)
        except ValidationError as error:
            raise spec_error("settings", error) from error
        except SettingsError as error:  # a variable that is not JSON; it names the field and not the value
            raise SpecError(f"settings: {error}; write the GRISTMILL_ variable as JSON") from error
        except tomllib.TOMLDecodeError as error:
            raise SpecError(f"settings: {config or 'gristmill.toml'} is not TOML: {error}") from error

    def pool(self, name: str | None) -> PoolSettings:
        """The pool `name`, or the default pool.

        Raises:
            SpecError: there is no such pool.
        """
        wanted = self.default_pool if name is None else name
        pools = {**_BUILT_IN_POOLS, **self.pools}
        if wanted not in pools:
            raise SpecError(f"compute_pool: there is no pool {wanted!r}; the settings have: {', '.join(sorted(pools))}")
        return pools[wanted]
