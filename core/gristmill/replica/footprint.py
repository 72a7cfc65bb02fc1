"""How much memory Python objects take, about."""

from sys import getsizeof
from typing import Any

__all__ = ["footprint"]


def footprint(value: Any) -> int:
    """Bytes of a value and of all that it holds; keys of dicts are taken to be shared, and not counted.

    Example:
        >>> footprint({"id": "a" * 1_000, "scores": [0.5] * 100}) // 1_000
        4
    """
    total = 0
    stack = [value]
    while stack:
        item = stack.pop()
        total += getsizeof(item)
        if isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list | tuple):
            stack.extend(item)
    return total
