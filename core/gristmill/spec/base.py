"""What every spec shares: frozen, unknown fields forbidden, errors of our own tree."""

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from gristmill.errors import SpecError

__all__ = ["Spec", "spec_error"]

_SECRETS = frozenset(
    {"api_key", "base_url", "registry", "runtime_env", "storage_options", "token", "trusted_registries"}
)
"""Fields whose values, or what stands in them, are not repeated."""
_WHOLE = frozenset({"dict_type", "model_attributes_type", "model_type"})
"""Problems with what should hold fields, and holds text that may be any of theirs."""
_LIKE_SECRET = re.compile("key|secret|token|password", re.IGNORECASE)
"""A field that is none may be one of those, misspelt."""


def spec_error(owner: str, error: ValidationError) -> SpecError:
    """One `SpecError` that names every wrong field of `owner`, its value and what would be right."""
    lines = []
    for problem in error.errors():
        field = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            message = "is not a field of it"
        # A mapping may hold credentials (storage options, a runtime environment), and so may all that stands in one.
        secret = (
            isinstance(problem["input"], dict) or problem["type"] in _WHOLE or not _SECRETS.isdisjoint(problem["loc"])
        )
        secret = secret or (problem["type"] == "extra_forbidden" and bool(_LIKE_SECRET.search(field)))
        given = "" if problem["type"] == "missing" or not field or secret else f" (given: {problem['input']!r})"
        lines.append(f"{owner}{'.' if field else ''}{field}: {message}{given}")
    return SpecError("; ".join(lines))


class Spec(BaseModel):
    """Base of the specs: immutable, strict about field names, raising `SpecError` instead of pydantic's own error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, arbitrary_types_allowed=False)

    def __init__(self, /, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise spec_error(type(self).__name__, error) from error
