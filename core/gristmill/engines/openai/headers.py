"""What goes along with each request: the key, and the way through a proxy."""

from base64 import b64encode
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from gristmill.engines.openai.endpoint import Endpoint

__all__ = ["request_arguments"]


def request_arguments(endpoint: Endpoint) -> dict[str, Any]:
    """What every request is made with: headers, and the proxy that the environment names. To be asked once: it is slow.

    Headers are the request's, not the session's: those would be shown to a proxy, and the key with them.
    """
    from yarl import URL

    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "User-Agent": f"gristmill/{version('gristmill')}",
    }
    if endpoint.api_key is not None:
        headers["Authorization"] = f"Bearer {endpoint.api_key}"
    parts = urlsplit(endpoint.base_url)
    found = getproxies().get(parts.scheme)
    if not found or proxy_bypass(parts.hostname or ""):
        return {"headers": headers}
    url = URL(found)
    if url.user is None:
        return {"headers": headers, "proxy": url}
    user = b64encode(f"{url.user}:{url.password or ''}".encode()).decode()
    who = {"Proxy-Authorization": f"Basic {user}"}
    proxy = {"proxy": url.with_user(None)}
    if parts.scheme == "https":  # through a tunnel, for which only the proxy may see who asks
        return {"headers": headers, **proxy, "proxy_headers": who}
    return {"headers": headers | who, **proxy}
