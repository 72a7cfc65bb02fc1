"""What a try of a task leaves for the next: which job it has started, and for which request."""

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import date
from typing import Any

__all__ = ["digest", "recall", "remember"]

_NAME = "gristmill_job"


def remember(context: Any, left: dict[str, Any]) -> None:
    """Leave `left` in the task's state store, which outlives a killed process, a retry and a Clear alike."""
    store = context.get("task_state_store")
    if store is not None:
        store.set(_NAME, left)


def recall(context: Any) -> Any:
    """What an earlier try has left; None where there is nothing."""
    store = context.get("task_state_store")
    return None if store is None else store.get(_NAME)


def digest(fields: Mapping[str, Any]) -> str:
    """What tells one rendered request from another: 16 hexadecimal digits.

    Example:
        >>> digest({"model": "echo:"}) == digest({"model": "echo:row"})
        False
    """
    return hashlib.blake2b(json.dumps(_plain(fields)).encode(), digest_size=8).hexdigest()


def _plain(value: Any) -> Any:
    """What JSON takes, whatever keys there are; of objects the class alone, since their texts differ by process."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return sorted(([repr(name), _plain(item)] for name, item in value.items()), key=lambda pair: str(pair[0]))
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, date | os.PathLike) else type(value).__qualname__
