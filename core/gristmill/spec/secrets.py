"""Which texts of a setting, or of anything else that nests, are secrets: told by the names they stand under."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["secret_values", "texts", "with_secrets"]

_SECRET = re.compile(
    r"key|secret|token|passw|passphrase|credential|authorization|bearer|cookie|connection_string|dsn|(^|_)sas(_|$)",
    re.IGNORECASE,
)
_HARMLESS = frozenset({"max_tokens_name"})
_PASSWORD_OF_A_URL = re.compile(r"(?<=://)[^/\s:@]*:([^/\s@]+)(?=@)")


def texts(value: Any) -> set[str]:
    """Every text in `value`, at any depth; names of fields are none.

    Example:
        >>> sorted(texts({"a": "x", "b": [{"c": "y"}, 1]}))
        ['x', 'y']
    """
    if isinstance(value, str):
        return {value} if value else set()
    if isinstance(value, Mapping):
        return set().union(*(texts(item) for item in value.values()))
    if isinstance(value, list | tuple | set):
        return set().union(*(texts(item) for item in value))
    return set()


def secret_values(value: Any) -> set[str]:
    """The texts that must not be shown: what stands under a name such as `secret`, `account_key` or `token`, all of it.

    Passwords in URLs count too, and JSON in a text is looked into, for it may be the value of a variable.

    Example:
        >>> sorted(secret_values({"s3": {"endpoint_url": "http://127.0.0.1:9000", "key": "AKIA", "secret": "hush"}}))
        ['AKIA', 'hush']
    """
    return set(_found(value))


def _found(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            if isinstance(name, str) and _SECRET.search(name) and name not in _HARMLESS:
                yield from texts(item)
            else:
                yield from _found(item)
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from _found(item)
    elif isinstance(value, str):
        yield from _PASSWORD_OF_A_URL.findall(value)
        if value.lstrip()[:1] in ("{", "["):
            try:
                parsed = json.loads(value)
            except ValueError:
                return
            yield from _found(parsed)


def with_secrets(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Options with the secret ones among them, which win; what nests in both is merged.

    Example:
        >>> with_secrets({"s3": {"endpoint_url": "http://minio:9000"}}, {"s3": {"key": "AKIA"}})
        {'s3': {'endpoint_url': 'http://minio:9000', 'key': 'AKIA'}}
    """
    both = {name for name in below.keys() & above.keys() if isinstance(below[name], Mapping)}
    nested = {name: with_secrets(below[name], above[name]) for name in both if isinstance(above[name], Mapping)}
    return {**below, **above, **nested}
