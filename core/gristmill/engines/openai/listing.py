"""Which models a service says that it has."""

import asyncio
import json

from gristmill.engines.openai.body import read_body, read_error
from gristmill.engines.openai.endpoint import Endpoint
from gristmill.engines.openai.errors import ReplyError
from gristmill.engines.openai.headers import request_arguments
from gristmill.engines.openai.refusal import concerns_all
from gristmill.engines.openai.reply import error_of
from gristmill.engines.protocol import EngineRefusedError

__all__ = ["served_models"]

_OK = 200
_SECONDS = 10.0
_MOST_BYTES = 16 * 1024**2


async def served_models(endpoint: Endpoint) -> list[str] | None:
    """The names of the models of a service; None where it does not tell, or does not answer yet.

    Raises:
        EngineRefusedError: the key is not valid.
    """
    import aiohttp

    url, how = f"{endpoint.base_url}/models", request_arguments(endpoint)
    try:
        async with (
            asyncio.timeout(_SECONDS),
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False) as session,
            session.get(url, allow_redirects=False, **how) as response,
        ):
            if response.status == _OK:
                listing = json.loads(await read_body(response, most=_MOST_BYTES, field="max_response_bytes"))
                return [str(model["id"]) for model in listing["data"]]
            problem = error_of(response.status, await read_error(response))
    except (aiohttp.ClientError, OSError, ReplyError, ValueError, KeyError, TypeError):
        return None
    if concerns_all(problem):
        raise EngineRefusedError(
            endpoint.without_key(
                f"endpoint {endpoint.name!r} at {endpoint.base_url} answered {problem}; "
                f"set api_key in [endpoints.{endpoint.name}] of the settings"
            )
        )
    return None
