"""Parts of the resource's configuration, in the form in which Dagster declares configuration.

They have the fields of the settings of the same names (see `gristmill.settings`), which check their values.
"""

from typing import Any

import dagster as dg
from pydantic import ConfigDict, Field

__all__ = ["STRICT", "EndpointConfig", "PoolConfig"]

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
