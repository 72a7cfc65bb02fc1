"""Locations as text: stages, paths and URLs become one normal form.

The normal form of a local path is the absolute path (`/data/x`), of anything else its URL (`s3://bucket/key`), without a
trailing slash.
"""

import os
import posixpath
import re
from collections.abc import Mapping

from gristmill.errors import LocationError

__all__ = ["is_local", "is_under", "join", "normalize", "scheme_of"]

_SCHEME = re.compile(r"([a-z][a-z0-9+.\-]*)://", re.IGNORECASE)


def scheme_of(location: str) -> str:
    """The scheme of a location; `file` for a local path."""
    match = _SCHEME.match(location)
    return match[1].lower() if match else "file"


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


def _stage(text: str, stages: Mapping[str, str]) -> str:
    name, _, rest = text[1:].partition("/")
    folded = {key.lstrip("@").lower(): value for key, value in stages.items()}
    root = folded.get(name.strip().lower())
    if root is None:
        known = ", ".join(sorted("@" + key for key in folded)) or "none"
        raise LocationError(f"{text!r} names the stage '@{name}', which the settings do not have; they have: {known}")
    return join(root, rest) if rest.strip("/") else root


def normalize(text: "str | os.PathLike[str]", stages: Mapping[str, str], *, what: str = "location") -> str:
    """The normal form of a stage, a path or a URL.

    Args:
        text: `@DB.SCHEMA.STAGE/path`, a path (relative ones against the working folder), or a URL.
        stages: stage names to locations.
        what: the field's name, for the error.

    Raises:
        LocationError: it is empty, names an unknown stage, or climbs with `..` out of a stage or bucket.

    Example:
        >>> normalize("@db.public.images/cats/", {"DB.PUBLIC.IMAGES": "s3://bucket/images"})
        's3://bucket/images/cats'
    """
    value = os.fspath(text).strip() if isinstance(text, str | os.PathLike) else ""
    if not value:
        raise LocationError(f"{what} is empty; give a path, a URL or a stage such as @name/path")
    if "\0" in value:
        raise LocationError(f"{what} {value!r} holds a NUL character")
    if value.startswith("@"):
        if ".." in value.split("/"):
            raise LocationError(f"{what} {value!r} climbs out of its stage with '..'")
        value = _stage(value, stages)
    scheme = scheme_of(value)
    if scheme == "file":
        path = re.sub(r"^file://", "", value, flags=re.IGNORECASE)
        return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - text in, text out, links kept
    head, _, rest = value.partition("://")
    if ".." in rest.split("/"):
        raise LocationError(f"{what} {value!r} holds '..', which object stores take literally; write the path out")
    if not rest.strip("/"):
        raise LocationError(f"{what} {value!r} names no bucket or path")
    return f"{head.lower()}://{posixpath.normpath(rest).strip('/')}" if scheme != "memory" else f"memory://{posixpath.normpath('/' + rest)}"
