"""What goes along with each request: the key, and the way through a proxy."""

from base64 import b64encode
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from gristmill.engines.openai.endpoint import Endpoint
from gristmill.engines.protocol import EngineRefusedError

__all__ = ["request_arguments"]


def request_arguments(endpoint: Endpoint) -> dict[str, Any]:
    """What every request is made with: headers, and the proxy that the environment names. To be asked once: it is slow.

    The proxy is that of `http_proxy` or `https_proxy`, by the scheme of the address, or else of `all_proxy`; hosts in
    `no_proxy`, with or without their port, are asked directly.

    Headers are the request's, not the session's: those would be shown to a proxy, and the key with them.

    Raises:
        EngineRefusedError: the proxy is none for HTTP.
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
    proxies, host = getproxies(), parts.hostname or ""
    found = proxies.get(parts.scheme) or proxies.get("all")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if not found or proxy_bypass(host) or proxy_bypass(f"{host}:{port}"):
        return {"headers": headers}
    url = URL(found if "://" in found else f"http://{found}")
    if url.scheme not in ("http", "https"):
        raise EngineRefusedError(
            f"the environment names a proxy {url.scheme}://{url.host} for {endpoint.base_url}, and only those "
            f"of http:// can be used; set {parts.scheme}_proxy to such a one, or add {host} to no_proxy"
        )
    if url.user is None:
        return {"headers": headers, "proxy": url}
    user = b64encode(f"{url.user}:{url.password or ''}".encode()).decode()
    who = {"Proxy-Authorization": f"Basic {user}"}
    proxy = {"proxy": url.with_user(None)}
    if parts.scheme == "https":  # through a tunnel, for which only the proxy may see who asks
        return {"headers": headers, **proxy, "proxy_headers": who}
    return {"headers": headers | who, **proxy}
