"""Texts of a `defs.yaml`: Dagster renders `{{ ... }}`, and `{partition}` is left to the asset.

Dagster reads what it has rendered as Python where it can, so that `{{ env.REPLICAS }}` is a number. A text without such
braces is none of its business: a code version `"3"` stays a text, and so does a parameter `"0.20"`.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

__all__ = ["labels", "rendered", "text", "values"]

_MARKS = ("{{", "{%", "{#")


def rendered(context: dg.ResolutionContext, value: Any) -> Any:
    """A value with its `{{ ... }}` rendered, at any depth."""
    if isinstance(value, str):
        return context.resolve_value(value) if any(mark in value for mark in _MARKS) else value
    if isinstance(value, Mapping):
        return {name: rendered(context.at_path(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [rendered(context.at_path(place), item) for place, item in enumerate(value)]
    return value


def text(description: str, *examples: Any, name: str | None = None) -> dg.Resolver:
    """How a text is read; what is rendered as a number is its text again.

    Args:
        description: what it is, for the schema.
        examples: some of it.
        name: the field's name in the file, where that cannot be the attribute's.
    """
    return dg.Resolver(
        _text,
        model_field_name=name,
        description=description,
        examples=list(examples) or None,
        inject_before_resolve=False,
    )


def values(description: str, *examples: Any) -> dg.Resolver:
    """How a mapping or list is read whose values may be anything."""
    return dg.Resolver(rendered, description=description, examples=list(examples) or None, inject_before_resolve=False)


def labels(description: str, *examples: Any) -> dg.Resolver:
    """How tags are read: names and texts."""
    return dg.Resolver(
        _labels,
        model_field_type=dict[str, str | bool | int | float],
        description=description,
        examples=list(examples) or None,
        inject_before_resolve=False,
    )


def _label(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(context: dg.ResolutionContext, value: Any) -> Any:
    found = rendered(context, value)
    return _label(found) if isinstance(found, bool | int | float) else found


def _labels(context: dg.ResolutionContext, value: Any) -> Any:
    return {str(name): _label(item) for name, item in rendered(context, value).items()}
