"""What a try of a task leaves for the next: which job it has started, and for which request."""

import hashlib
import json
from collections.abc import Mapping
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
    text = json.dumps(fields, sort_keys=True, default=lambda value: type(value).__qualname__)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
