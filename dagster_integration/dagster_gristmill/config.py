"""Parts of the resource's configuration, in the form in which Dagster declares configuration.

They have the fields of the settings of the same names (see `gristmill.settings`), which check their values.
"""

import os
from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import ConfigDict, Field

from gristmill.errors import SpecError

__all__ = ["STRICT", "EndpointConfig", "PoolConfig", "with_variables"]

STRICT = ConfigDict(extra="forbid", hide_input_in_errors=True)
"""A field that is none is refused, and what stood in it is not repeated: it may be a secret, misspelt."""


class PoolConfig(dg.Config):
    """One place where jobs run; see `gristmill.PoolSettings`.

    Attributes:
        kind: `inline`, `local` or `ray`.
        address: for `ray`: the Jobs API of a cluster, such as `http://head:8265`.
        token: what the cluster asks of its clients; give it as `EnvVar`.
        runtime_env: for `ray`: the runtime environment of the job.
        placement_timeout: seconds to wait for the first replica to be placed.
        init: for `ray` without an address: keyword arguments of `ray.init`.
    """

    model_config = STRICT

    kind: str = Field(description="inline, local or ray")
    address: str | None = Field(None, description="The Jobs API of a Ray cluster, such as http://head:8265")
    token: str | None = Field(None, description="What the cluster asks of its clients; give it as an EnvVar")
    runtime_env: dict[str, Any] = Field({}, description="Ray's runtime environment of the job")
    placement_timeout: float | None = Field(None, description="Seconds to wait for the first replica to be placed")
    init: dict[str, Any] = Field({}, description="Keyword arguments of ray.init, without an address")


class EndpointConfig(dg.Config):
    """A service that speaks the OpenAI API; see `gristmill.settings.EndpointSettings`.

    Attributes:
        base_url: the address before `/chat/completions`.
        api_key: sent as a bearer token; give it as `EnvVar`.
        options: further fields of the settings, such as `{"requests_per_minute": 600}`.
    """

    model_config = STRICT

    base_url: str | None = Field(None, description="The address before /chat/completions")
    api_key: str | None = Field(None, description="Sent as a bearer token; give it as an EnvVar")
    options: dict[str, Any] = Field({}, description="Further fields, such as requests_per_minute")


def with_variables(value: Any, *, what: str) -> Any:
    """A value with the variables of the environment in it, however deep: Dagster puts in those of plain fields alone.

    Args:
        value: what a field of free form holds.
        what: its name, for the error.

    Raises:
        SpecError: a variable is not set.
    """
    if isinstance(value, dg.EnvVar):
        return _variable(value.env_var_name, what)
    if isinstance(value, Mapping):
        if list(value) == ["env"] and isinstance(value["env"], str):  # what an EnvVar is in a run's configuration
            return _variable(value["env"], what)
        return {name: with_variables(item, what=f"{what}.{name}") for name, item in value.items()}
    if isinstance(value, list):
        return [with_variables(item, what=what) for item in value]
    return value


def _variable(name: str, what: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise SpecError(f"{what}: the variable {name} of the environment is not set where the run is")
    return value
