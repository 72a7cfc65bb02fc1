"""Locations as text: stages, paths and URLs become one normal form.

The normal form of a local path is the absolute path (`/data/x`), of anything else its URL (`s3://bucket/key`), without
a trailing slash. Names are literal: a key `a%20b` is not `a b`. Only `file:` URLs are decoded, as RFC 8089 has them.
"""

import os
import posixpath
import re
from collections.abc import Mapping
from urllib.parse import unquote

from gristmill.errors import LocationError

__all__ = ["file_url_path", "is_local", "is_under", "join", "normalize", "scheme_of"]

_SCHEME = re.compile(r"([a-z][a-z0-9+.\-]*)://", re.IGNORECASE)
_FILE_URL = re.compile(r"file:", re.IGNORECASE)
_PORT = re.compile(r"(\[[0-9a-f:.]+\]|[^:@]*):\d*", re.IGNORECASE)
_AZURE = frozenset({"abfs", "abfss", "az", "wasb", "wasbs"})
_SAME_SCHEME = {"gcs": "gs", "local": "file", "s3a": "s3", "s3n": "s3"}


def scheme_of(location: str) -> str:
    """The scheme of a location, in its usual spelling (`s3` for `s3a`); `file` for a local path."""
    match = _SCHEME.match(location)
    if match is None:
        return "file"
    scheme = match[1].lower()
    return _SAME_SCHEME.get(scheme, scheme)


def is_local(location: str) -> bool:
    """Whether a normal location is a path on this machine."""
    return location.startswith("/")


def join(base: str, *parts: str) -> str:
    """`base` with `parts` below it."""
    return "/".join([base.rstrip("/"), *(part.strip("/") for part in parts)])


def is_under(location: str, prefix: str) -> bool:
    """Whether a normal location is `prefix` or stands below it."""
    base = prefix.rstrip("/")
    return location == base or location.startswith(base + "/")


def file_url_path(text: str) -> str | None:
    """The absolute path that a `file:` URL names; None for text that is no `file:` URL.

    Raises:
        LocationError: the URL names another host or no absolute path.
    """
    if _FILE_URL.match(text) is None:
        return None
    rest = text[5:]
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        if host.lower() not in ("", "localhost"):
            raise LocationError(
                f"{text!r} names the host {host!r}; a file: URL names files of this machine: file:///path"
            )
        rest = slash + path
    if not rest.startswith("/"):
        raise LocationError(f"{text!r} names no absolute path; write it as file:///path")
    return unquote(rest)


def _stage(text: str, stages: Mapping[str, str]) -> str:
    name, _, rest = text[1:].partition("/")
    folded = {key.lstrip("@").lower(): value for key, value in stages.items()}
    root = folded.get(name.strip().lower())
    if root is None:
        known = ", ".join(sorted("@" + key for key in folded)) or "none"
        raise LocationError(f"{text!r} names the stage '@{name}', which the settings do not have; they have: {known}")
    return join(root, rest) if rest.strip("/") else root


def _holds_secret(scheme: str, url: str) -> bool:
    """Whether a URL names a user or a key before its host; `abfs://container@account` does not."""
    if scheme in ("file", "memory"):
        return False
    rest = url.partition("://")[2]
    host = rest.partition("/")[0]
    if ":" in host and _PORT.fullmatch(host) is None:
        return True  # a secret key may hold slashes itself
    return "@" in host and scheme not in _AZURE


def normalize(text: "str | os.PathLike[str]", stages: Mapping[str, str], *, what: str = "location") -> str:
    """The normal form of a stage, a path or a URL.

    Args:
        text: `@DB.SCHEMA.STAGE/path`, a path (relative ones against the working folder), or a URL.
        stages: stage names to locations.
        what: the field's name, for the error.

    Raises:
        LocationError: it is empty, names an unknown stage, holds a user's name or secret, or climbs with `..` out of
            a stage or bucket.

    Example:
        >>> normalize("@db.public.images/cats/", {"DB.PUBLIC.IMAGES": "s3://bucket/images"})
        's3://bucket/images/cats'
    """
    value = os.fspath(text) if isinstance(text, str | os.PathLike) else ""
    if not value.strip():
        raise LocationError(f"{what} is empty; give a path, a URL or a stage such as @name/path")
    if "\0" in value:
        raise LocationError(f"{what} {value!r} holds a NUL character")
    if value.startswith("@"):
        if ".." in value.split("/"):
            raise LocationError(f"{what} {value!r} climbs out of its stage with '..'")
        value = _stage(value, stages)
    path = file_url_path(value)
    scheme = scheme_of(value)
    if "@" in value and _holds_secret(scheme, value):
        raise LocationError(
            f"{what}: a secret must not stand in a {scheme}:// location, which is kept in the job's record; "
            "put it in the settings' storage_options or in the environment"
        )
    if path is not None or scheme == "file":
        plain = path if path is not None else _SCHEME.sub("", value)
        if "\0" in plain:
            raise LocationError(f"{what} {value!r} holds a NUL character")
        return "/" + os.path.abspath(os.path.expanduser(plain)).lstrip("/")  # noqa: PTH100, PTH111 - text in, text out, links kept
    rest = value.partition("://")[2]
    if ".." in rest.split("/"):
        raise LocationError(f"{what} {value!r} holds '..', which object stores take literally; write the path out")
    if not rest.strip("/"):
        raise LocationError(f"{what} {value!r} names no bucket or path")
    if scheme in ("http", "https"):
        return f"{scheme}://{rest.rstrip('/')}"
    return f"{scheme}://{'/' if scheme == 'memory' else ''}{posixpath.normpath(rest).strip('/')}"
