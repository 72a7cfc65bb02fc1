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

    [endpoints.lab]
    base_url = "http://llm.lab:8000/v1"
    requests_per_minute = 6000

A registry of models is named before the tables: `registry = "http://mlflow.lab:5000"`.
"""

import os
import tomllib
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    SerializationInfo,
    ValidationError,
    field_serializer,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from gristmill.errors import SpecError
from gristmill.spec.base import Spec, spec_error
from gristmill.spec.registry import checked_registry

__all__ = ["EndpointSettings", "PoolSettings", "ResolverSettings", "Settings"]


def _checked(key: SecretStr | None) -> SecretStr | None:
    """A key or token that can be sent in a header."""
    if key is not None and not all("!" <= character <= "~" for character in key.get_secret_value().strip()):
        raise ValueError(
            "holds a line break, a space or another character that no key has; copy the key again, without quotes, "
            "and look whether the file that it comes from has a single line"
        )
    return key


def _revealed(key: SecretStr | None, info: SerializationInfo) -> str | None:
    """In clear only for `context={"reveal": True}`: for what a job's own processes get in their environment."""
    reveal = isinstance(info.context, dict) and info.context.get("reveal")
    return key.get_secret_value() if key is not None and reveal else None


class PoolSettings(Spec):
    """One place where jobs run.

    Attributes:
        kind: `inline` runs in this process (notebooks, debugging, `memory://`); `local` in a process of its own on this
            machine; `ray` on Ray.
        address: for `ray`: the `http(s)://host:8265` address of a cluster's Jobs API; none starts Ray on this machine.
        token: for an address: what the cluster asks of its clients; it never stands in a record, a log or an error.
            None takes what Ray itself would, such as RAY_AUTH_TOKEN.
        runtime_env: for `ray`: the runtime environment of the job, as Ray's documentation describes it.
        placement_timeout: seconds to wait for the first replica to be placed.
        init: for `ray` without an address: keyword arguments of `ray.init`, such as `{"num_gpus": 2}`.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    kind: Literal["inline", "local", "ray"]
    address: str | None = None
    token: SecretStr | None = None
    runtime_env: dict[str, Any] = Field(default={}, repr=False)
    placement_timeout: PositiveFloat = 300.0
    init: dict[str, Any] = {}

    @field_validator("address")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("is not the address of a Jobs API; write it as 'http://host:8265'")
        return value

    @field_validator("token")
    @classmethod
    def _sendable(cls, value: SecretStr | None) -> SecretStr | None:
        return _checked(value)

    @field_serializer("token", when_used="json")
    def _hidden(self, value: SecretStr | None, info: SerializationInfo) -> str | None:
        return _revealed(value, info)


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


class EndpointSettings(Spec):
    """A service that speaks the OpenAI API, such as a vLLM server.

    The endpoint named `openai` is the one that jobs use unless they name another. What it leaves open comes from the
    variables OPENAI_BASE_URL and OPENAI_API_KEY, as in OpenAI's own client.

    Attributes:
        base_url: the address before `/chat/completions`, such as `http://llm.lab:8000/v1`.
        api_key: sent as a bearer token; it never stands in a record, a log or an error. None sends none.
        timeout: seconds for one attempt at one request, to the end of its answer.
        connect_timeout: seconds for connecting.
        attempts: tries at one request when the failure may pass: throttling, errors of the server, dropped connections.
        backoff: seconds before the second try; twice as many before each further one, at most 30. With the defaults a
            server may be away for about a minute.
        requests_per_minute: bound on the rate of requests of a job, shared evenly by its workers; None for none.
        tokens_per_minute: bound on the rate of tokens, of prompts and answers together, likewise.
        window: requests in flight, of one worker.
        max_tokens_name: how the service calls `max_completion_tokens`; older ones know `max_tokens` only.
        max_response_bytes: a larger answer is a row error.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    base_url: str | None = None
    api_key: SecretStr | None = None
    timeout: PositiveFloat = 600.0
    connect_timeout: PositiveFloat = 10.0
    attempts: PositiveInt = 8
    backoff: NonNegativeFloat = 0.5
    requests_per_minute: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    window: PositiveInt = 256
    max_tokens_name: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    max_response_bytes: PositiveInt = 64 * 1024**2

    @field_validator("base_url")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("is not an address; write it as 'https://host/v1'")
        if "@" in parts.netloc or parts.query:
            raise ValueError("must hold neither a user nor a query; a key belongs to api_key")
        return value.rstrip("/")

    @field_validator("api_key")
    @classmethod
    def _sendable(cls, value: SecretStr | None) -> SecretStr | None:
        return _checked(value)

    @field_serializer("api_key", when_used="json")
    def _hidden(self, value: SecretStr | None, info: SerializationInfo) -> str | None:
        return _revealed(value, info)


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
        endpoints: services that speak the OpenAI API, by name.
        registry: the MLflow server or store that `models:` references are looked up in, without a password; None for a
            store of one's own, `<home>/registry/mlflow.db`, in the user's data folder where the home is not on this
            machine.
        trusted_registries: prefixes of the registries that models may be loaded from, since loading one may run its
            code; none trusts no registry, None any that settings or code name.
        model_cache: a folder of each machine that runs models, for the files of registered ones; None for
            `$XDG_CACHE_HOME/gristmill/models`, else `~/.cache/gristmill/models`.
        max_partition_bytes: of one partition, as Arrow has it in memory, for functions that take partitions; None for a
            quarter of a worker's memory.
    """

    model_config = SettingsConfigDict(
        env_prefix="GRISTMILL_", env_nested_delimiter="__", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    home: str = Field(default_factory=_default_home)
    stages: dict[str, str] = {}
    allowed: tuple[str, ...] = ()
    storage_options: dict[str, dict[str, Any]] = Field(default={}, repr=False)
    pools: dict[str, PoolSettings] = {}
    default_pool: str = "local"
    resolver: ResolverSettings = ResolverSettings()
    endpoints: dict[str, EndpointSettings] = {}
    registry: str | None = None
    trusted_registries: tuple[str, ...] | None = None
    model_cache: str | None = None
    max_partition_bytes: PositiveInt | None = None

    @field_validator("registry")
    @classmethod
    def _without_password(cls, value: str | None) -> str | None:
        return None if value is None else checked_registry(value)

    @field_validator("trusted_registries")
    @classmethod
    def _all_without_passwords(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if value is None else tuple(checked_registry(each) for each in value)

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
