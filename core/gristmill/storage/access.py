"""What a job's rows may open: untrusted text becomes a location, or an `AccessError`."""

import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from gristmill.errors import AccessError, LocationError
from gristmill.storage.location import file_url_path, is_local, is_under, scheme_of
from gristmill.storage.storage import Storage

__all__ = ["AccessPolicy"]

_WAY_OUT = "declare a stage for it, or name its prefix in the settings' `allowed` or in InputSpec.allowed_locations"
_NOT_NAMES = frozenset({"", ".", ".."})
_CACHED_FOLDERS = 10_000
_DEFAULT_PORTS = {"http": 80, "https": 443}
_URL_JUNK = re.compile(r"[\x00-\x20\x7f\\]")


@dataclass(frozen=True)
class AccessPolicy:
    """The locations that a job's rows may name.

    These are the stages of the settings, the settings' `allowed` prefixes, and the job's own. Prefixes end at path
    boundaries: `/data` allows `/data/x`, not `/database`. On local disks links count by where they lead.

    Args:
        storage: gives the stages and the settings' prefixes.
        allowed: the job's own prefixes: stages, absolute paths or URLs.

    Raises:
        LocationError: a prefix cannot be resolved.

    Example:
        >>> storage = Storage(Settings.load(stages={"cats": "s3://bucket/cats"}))
        >>> AccessPolicy(storage).locate("@cats/tom.png")
        's3://bucket/cats/tom.png'
    """

    storage: Storage = field(repr=False)
    allowed: Sequence[str] = ()
    _prefixes: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _real: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _hosts: frozenset[tuple[str, int]] = field(init=False, repr=False, compare=False)
    _stages: dict[str, str] = field(init=False, repr=False, compare=False)
    _folders: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        settings = self.storage.settings
        stages = {f"@{name.lstrip('@').lower()}": self._prefix(root) for name, root in settings.stages.items()}
        given = [self._prefix(text) for text in (*settings.allowed, *self.allowed)]
        prefixes = dict.fromkeys([*stages.values(), *given])
        local = [prefix for prefix in prefixes if is_local(prefix)]
        hosts = (_private_host(prefix) for prefix in prefixes)
        object.__setattr__(self, "allowed", tuple(self.allowed))
        object.__setattr__(self, "_prefixes", tuple(prefixes))
        object.__setattr__(self, "_real", tuple(os.path.realpath(prefix) for prefix in local))
        object.__setattr__(self, "_hosts", frozenset(host for host in hosts if host is not None))
        object.__setattr__(self, "_stages", stages)
        object.__setattr__(self, "_folders", {})

    def __reduce__(self) -> tuple[type["AccessPolicy"], tuple[Storage, tuple[str, ...]]]:
        return AccessPolicy, (self.storage, tuple(self.allowed))

    def locate(self, reference: str) -> str:
        """The normal location that a row's text names.

        A local path is returned with the links of its folders resolved and checked, and its last name as it is: open it
        with `O_NOFOLLOW`, and where that fails with `ELOOP` open what `follow` returns.

        Raises:
            LocationError: it is no stage path, absolute path or URL, or its stage is not known.
            AccessError: it is none of the allowed locations.
        """
        folder, _, name = reference.rpartition("/")
        base = self._folders.get(folder)
        if base is None or name in _NOT_NAMES or "\0" in name:
            return self._locate(reference)
        return base + name

    def follow(self, location: str) -> str:
        """Where a local link leads, checked; open it with `O_NOFOLLOW` too.

        Raises:
            AccessError: it leads out of the allowed locations.
        """
        real = os.path.realpath(location)
        if not self._allows_real(real):
            raise AccessError(f"{location!r} is a link to {real!r}, which is not allowed; {_WAY_OUT}")
        return real

    def allows_private(self, host: str, port: int) -> bool:
        """Whether http(s) may reach a private address as this host and port.

        It may where an allowed prefix names them: `http://10.0.0.7/`, `http://images.internal:8080/`. A name without a
        port is not enough, since whoever answers for a name may point it anywhere.
        """
        return (host.lower(), port) in self._hosts

    def _locate(self, reference: str) -> str:
        if not reference.strip():
            raise LocationError("the reference is empty; it must be a stage path, an absolute path or a URL")
        if "\0" in reference:
            raise LocationError(f"{reference!r} holds a NUL character")
        text = self._unstaged(reference)
        scheme = scheme_of(text)
        path = file_url_path(text)
        if path is None and text.startswith("/"):
            path = text
        if path is not None:
            return self._locate_local(reference, path)
        if scheme == "file":
            raise LocationError(f"{reference!r} is no stage path, absolute path or URL")
        if scheme in _DEFAULT_PORTS:
            return self._locate_web(reference, text)
        return self._locate_object(reference, f"{scheme}://{text.partition('://')[2]}")

    def _unstaged(self, reference: str) -> str:
        if not reference.startswith("@"):
            return reference
        name, _, rest = reference.partition("/")
        root = self._stages.get(name.lower())
        if root is None:
            known = ", ".join(sorted(self._stages)) or "none"
            raise LocationError(
                f"{reference!r} names the stage {name!r}, which the settings do not have; they have: {known}"
            )
        return f"{root.rstrip('/')}/{rest}"

    def _locate_local(self, reference: str, path: str) -> str:
        segments = path.split("/")
        if ".." in segments:
            raise AccessError(f"{reference!r} holds '..'; write the path out")
        if "\0" in path:
            raise LocationError(f"{reference!r} holds a NUL character")
        folder, _, name = ("/" + "/".join(part for part in segments if part not in ("", "."))).rpartition("/")
        if not name or path.endswith("/"):
            raise LocationError(f"{reference!r} names no file")
        if not self._allows(f"{folder}/{name}") and not _under_any(f"{folder}/{name}", self._real):
            self._refuse(reference)
        real = os.path.realpath(folder or "/").rstrip("/") + "/"
        if not self._allows_real(real + name):
            raise AccessError(f"{reference!r} leads by a link to {real + name!r}, which is not allowed; {_WAY_OUT}")
        if (
            _under_any(real, self._real)
            and reference.endswith("/" + name)
            and not reference.lower().startswith("file:")
        ):
            self._remember(reference, real)
        return real + name

    def _locate_object(self, reference: str, location: str) -> str:
        rest = location.partition("://")[2]
        if _climbs(rest):
            raise AccessError(f"{reference!r} holds '.' or '..'; write the path out")
        if "::" in rest and "://" in rest:
            raise AccessError(f"{reference!r} is a chain of locations; name one")
        if scheme_of(location) == "memory":
            location = f"memory:///{rest.lstrip('/')}"
        if not self._allows(location):
            self._refuse(reference)
        base, _, name = location.rpartition("/")
        if not name:
            raise LocationError(f"{reference!r} names no file")
        if self._allows(base):
            self._remember(reference, base + "/")
        return location

    def _locate_web(self, reference: str, text: str) -> str:
        location = _web_url(text)
        if not self._allows(location.partition("?")[0]):
            self._refuse(reference)
        return location

    def _prefix(self, text: str) -> str:
        location = self.storage.resolve(text, what="allowed")
        return _web_url(location).rstrip("/") if scheme_of(location) in _DEFAULT_PORTS else location

    def _remember(self, reference: str, base: str) -> None:
        if len(self._folders) >= _CACHED_FOLDERS:
            self._folders.clear()
        self._folders[reference.rpartition("/")[0]] = base

    def _allows(self, location: str) -> bool:
        return _under_any(location, self._prefixes)

    def _allows_real(self, path: str) -> bool:
        return _under_any(path, self._real)

    def _refuse(self, reference: str) -> NoReturn:
        raise AccessError(f"{reference!r} is under none of the stages and prefixes this job may open; {_WAY_OUT}")


def _under_any(location: str, prefixes: tuple[str, ...]) -> bool:
    return any(is_under(location, prefix) for prefix in prefixes)


def _climbs(rest: str) -> bool:
    parts = rest.split("/")
    return "." in parts or ".." in parts


def _web_url(text: str) -> str:
    """The normal form of an http(s) URL, without its fragment.

    Raises:
        LocationError: it is no plain URL of a host and a path.
        AccessError: its path holds `..`, however written.
    """
    if _URL_JUNK.search(text):
        raise LocationError(f"{text!r} holds blanks, control characters or backslashes, which URLs write as %XX")
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").lower().rstrip("."), parts.port
    except ValueError as error:
        raise LocationError(f"{text!r} is not a URL: {error}") from error
    if not host or "@" in parts.netloc or "%" in host:
        raise LocationError(f"{text!r} must name a plain host, without user or password")
    decoded = parts.path
    for _ in range(3):  # servers and proxies between may decode more than once
        decoded = unquote(decoded)
    if not {".", ".."}.isdisjoint(re.split(r"[/\\]", decoded)):
        raise AccessError(f"{text!r} holds '.' or '..' in its path; write the path out")
    if "\0" in decoded:
        raise LocationError(f"{text!r} holds a NUL character")
    scheme = parts.scheme.lower()
    address = f"[{host}]" if ":" in host else host
    where = address if port in (None, _DEFAULT_PORTS[scheme]) else f"{address}:{port}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{scheme}://{where}/{parts.path.lstrip('/') if parts.path.startswith('/') else ''}{query}"


def _private_host(prefix: str) -> tuple[str, int] | None:
    """The host and port that an http(s) prefix names so plainly that its address may be private."""
    if scheme_of(prefix) not in _DEFAULT_PORTS:
        return None
    parts = urlsplit(prefix)
    host = parts.hostname or ""
    if parts.port is None and host != "localhost" and not _is_address(host):
        return None
    return host, parts.port if parts.port is not None else _DEFAULT_PORTS[parts.scheme]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
