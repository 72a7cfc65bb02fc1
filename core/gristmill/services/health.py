"""Asking a server whether it answers."""

import http.client
import json
from urllib.parse import urlsplit

__all__ = ["problem_of", "url_host"]

_TIMEOUT = 5.0
_MOST = 1024**2


def url_host(host: str) -> str:
    """An address to listen at as one to ask at, in the form of URLs.

    Example:
        >>> url_host("0.0.0.0"), url_host("::1")
        ('127.0.0.1', '[::1]')
    """
    if host in ("0.0.0.0", ""):  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{'::1' if host == '::' else host}]" if ":" in host else host


def problem_of(base_url: str, *, key: str | None, model: str, timeout: float = _TIMEOUT) -> str | None:
    """Why a server does not serve a model yet, or any more; None where it does.

    Args:
        base_url: the address before `/chat/completions`.
        key: its key; None asks only what is answered without one.
        model: what it calls the model.
        timeout: seconds for each of two questions.

    Example:
        >>> problem_of("http://127.0.0.1:9/v1", key="k", model="m") is None
        False
    """
    parts = urlsplit(base_url)
    root = parts.path.rstrip("/").removesuffix("/v1")
    status, body = _get(parts.hostname or "", parts.port, f"{root}/health", key, timeout)
    if status != http.HTTPStatus.OK:
        return body if status is None else f"/health answers {status}"
    if key is None:
        return None
    status, body = _get(parts.hostname or "", parts.port, f"{root}/v1/models", key, timeout)
    if status != http.HTTPStatus.OK:
        return body if status is None else f"/v1/models answers {status}"
    try:
        names = {each["id"] for each in json.loads(body)["data"]}
    except (ValueError, TypeError, KeyError):
        return "/v1/models gives no list of models: another server listens at its port"
    return None if model in names else f"/v1/models has {', '.join(sorted(map(str, names)))} and not {model!r}"


def _get(host: str, port: int | None, path: str, key: str | None, timeout: float) -> tuple[int | None, str]:
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path, headers={} if key is None else {"Authorization": f"Bearer {key}"})
        response = connection.getresponse()
        return response.status, response.read(_MOST).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return None, f"{type(error).__name__}: {error}"
    finally:
        connection.close()
