"""The address of a model registry: checked, in one spelling, and whether it is one of those that are trusted."""

import os
import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

__all__ = ["checked_registry", "is_embedded", "is_trusted"]

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):(.*)", re.DOTALL)
_SECRET = re.compile(r"(^|[=&;])\s*[a-z_]*(pass(word|wd)?|pwd|secret|token)\s*=", re.IGNORECASE)
_CODED = re.compile(r"[?]|%[0-9A-Fa-f]{2}")
"""What the address of a database reads as something else than a file's name."""
_PORTS = {"http": 80, "https": 443}
_WAY_OUT = (
    "a registry's address is kept in records and sent to workers, so it must hold no password; "
    "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, where it is used"
)
_FORMS = "write 'http://host:5000', 'sqlite:////path/mlflow.db', or another URI that MLflow takes"


def checked_registry(text: str) -> str:
    """A registry's address in its usual spelling; paths are made absolute.

    Raises:
        ValueError: it is no address, or holds a user's name or password. The message does not repeat it.

    Example:
        >>> checked_registry("HTTP://MLflow.Lab:5000/")
        'http://mlflow.lab:5000'
    """
    value = text.strip()
    if not value or "\0" in value or "\n" in value:
        raise ValueError(f"is no address of a registry; {_FORMS}")
    if value in ("databricks", "databricks-uc", "uc"):
        return value
    match = _URL.fullmatch(value)
    if match is None:
        return _absolute(value)
    scheme, rest = match[1].lower(), match[2]
    if scheme == "file":
        return _absolute(rest.removeprefix("//localhost") if rest.startswith("//localhost/") else _path(rest))
    if scheme.partition("+")[0] == "sqlite":
        path = rest.removeprefix("///")
        if not rest.startswith("///") or not path or path == ":memory:":
            raise ValueError("names no file; write 'sqlite:////path/mlflow.db'")
        if found := _CODED.search(path):
            raise ValueError(f"holds {found[0]!r}, which SQLite's addresses cannot hold; choose another folder")
        return f"{scheme}:///{_absolute(path)}"
    return _remote(scheme, value)


def _remote(scheme: str, value: str) -> str:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(f"is no address of a registry; {_FORMS}") from None
    if parts.password is not None or ("@" in parts.netloc and scheme in _PORTS) or _SECRET.search(unquote(parts.query)):
        raise ValueError(_WAY_OUT)
    if ".." in unquote(parts.path).replace("\\", "/").split("/"):
        raise ValueError("holds '..', which may lead anywhere; write the address without it")
    if scheme not in _PORTS:
        return f"{scheme}:{value.partition(':')[2]}".rstrip("/")
    if not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"is no address of a registry; {_FORMS}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    where = host if port is None or port == _PORTS[scheme] else f"{host}:{port}"
    return f"{scheme}://{where}{parts.path.rstrip('/')}"


def _path(rest: str) -> str:
    return rest.removeprefix("//") if rest.startswith("///") else rest


def _absolute(path: str) -> str:
    if path.startswith("//"):
        path = "/" + path.lstrip("/")
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - text in, text out, links kept


def is_embedded(registry: str) -> bool:
    """Whether an address in its usual spelling is a file or folder of this machine, and no server.

    Example:
        >>> is_embedded("sqlite:////srv/mlflow.db"), is_embedded("http://mlflow.lab:5000")
        (True, False)
    """
    return registry.startswith(("/", "sqlite"))


def is_trusted(registry: str, prefixes: Iterable[str] | None) -> bool:
    """Whether an address is one of some, or stands below one; both in their usual spelling. None trusts any.

    Example:
        >>> is_trusted("http://mlflow.lab:5000/team", ["http://mlflow.lab:5000"])
        True
        >>> is_trusted("http://mlflow.lab:50001", ["http://mlflow.lab:5000"])
        False
    """
    if prefixes is None:
        return True
    return any(registry == prefix or registry.startswith(prefix.rstrip("/") + "/") for prefix in prefixes)
