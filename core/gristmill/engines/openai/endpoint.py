"""Which service a job talks to: the settings' endpoint, its key, and this worker's share of its limits."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from gristmill.errors import SpecError
from gristmill.settings import EndpointSettings, Settings

__all__ = ["DEFAULT_ENDPOINT", "Endpoint", "endpoint_of"]

DEFAULT_ENDPOINT = "openai"
"""The endpoint of a job that names none."""

_BASE_URL = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A service, as one worker uses it.

    Attributes:
        name: in the settings.
        base_url: the address before `/chat/completions`.
        settings: its settings.
        window: requests in flight.
        requests_per_minute, tokens_per_minute: this worker's share; None for no bound.
        api_key: sent as a bearer token; None sends none.
    """

    name: str
    base_url: str
    settings: EndpointSettings
    window: int
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    api_key: str | None = field(default=None, repr=False)

    def without_key(self, text: str) -> str:
        """A text that comes from outside, without the key should it repeat it."""
        return text.replace(self.api_key, "***") if self.api_key else text


def endpoint_of(settings: Settings, options: Mapping[str, Any], *, workers: int = 1) -> Endpoint:
    """The endpoint that a job's engine options name.

    Args:
        settings: the settings in force.
        options: `endpoint`, its name, and `window`, which goes before the endpoint's own and has been checked.
        workers: how many share its limits.

    Raises:
        SpecError: there is no such endpoint, it has no address, or the key of the environment is none.

    Example:
        >>> settings = Settings.load(endpoints={"lab": {"base_url": "http://llm.lab:8000/v1"}})
        >>> endpoint_of(settings, {"endpoint": "lab", "window": 8}).window
        8
    """
    name = options.get("endpoint")
    known = {DEFAULT_ENDPOINT: EndpointSettings(), **settings.endpoints}
    name = DEFAULT_ENDPOINT if name is None else name
    if not isinstance(name, str) or name not in known:
        raise SpecError(
            f"inference_engine_options.endpoint: there is no endpoint {name!r}; "
            f"the settings have: {', '.join(sorted(known))}"
        )
    found = known[name]
    base_url, key = found.base_url, None if found.api_key is None else found.api_key.get_secret_value()
    if name == DEFAULT_ENDPOINT:
        if base_url is None:
            base_url = EndpointSettings(base_url=os.environ.get("OPENAI_BASE_URL") or _BASE_URL).base_url
        if key is None:
            key = os.environ.get("OPENAI_API_KEY")
            _check_key(key)
    if base_url is None:
        raise SpecError(f"settings.endpoints.{name}: has no base_url; write one such as 'http://llm.lab:8000/v1'")
    window = options.get("window")
    return Endpoint(
        name=name,
        base_url=base_url,
        settings=found,
        window=found.window if window is None else window,
        requests_per_minute=_share(found.requests_per_minute, workers),
        tokens_per_minute=_share(found.tokens_per_minute, workers),
        api_key=(key or "").strip() or None,
    )


def _check_key(key: str | None) -> None:
    try:
        EndpointSettings(api_key=None if key is None else SecretStr(key))
    except SpecError as error:
        raise SpecError(str(error).replace("EndpointSettings.api_key", "OPENAI_API_KEY")) from None


def _share(limit: int | None, workers: int) -> float | None:
    return None if limit is None else limit / workers
