"""vLLM's arguments as its command line takes them."""

from collections.abc import Mapping
from typing import Any

__all__ = ["engine_arguments"]


def engine_arguments(given: Mapping[str, Any]) -> list[str]:
    """Arguments under the names of `EngineArgs`, written out.

    Example:
        >>> engine_arguments({"max_model_len": 2048, "enforce_eager": True})
        ['--max-model-len=2048', '--enforce-eager']
    """
    return [
        f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}")
        for name, value in given.items()
        if value is not False
    ]
