"""Where results go."""

import os
from typing import Any

from pydantic import AliasChoices, Field, field_validator, model_validator

from gristmill.spec.base import Spec
from gristmill.spec.enums import SaveMode

__all__ = ["OutputSpec"]


class OutputSpec(Spec):
    """Where results go, and what happens to what is there.

    Exactly one of the two locations is given; both take a path, a URL or a stage (`@DB.SCHEMA.STAGE/path`).

    Attributes:
        location: the results stand exactly here (`stage_location` is accepted too).
        base_location: the results stand in `<base_location>/<job name>/` (`base_stage_location` is accepted too).
        mode: ERROR (default) refuses a location that holds files; OVERWRITE replaces them once the new output is whole.

    Example:
        >>> OutputSpec(stage_location="@sales.public.scores/today", mode="overwrite").location
        '@sales.public.scores/today'
    """

    location: str | None = Field(None, validation_alias=AliasChoices("location", "stage_location"))
    base_location: str | None = Field(None, validation_alias=AliasChoices("base_location", "base_stage_location"))
    mode: SaveMode = SaveMode.ERROR

    @field_validator("location", "base_location", mode="before")
    @classmethod
    def _path(cls, value: Any) -> Any:
        return os.fspath(value) if isinstance(value, os.PathLike) else value

    @field_validator("mode", mode="before")
    @classmethod
    def _fold(cls, value: Any) -> Any:
        return value.strip().lower() if isinstance(value, str) and not isinstance(value, SaveMode) else value

    @model_validator(mode="after")
    def _one_location(self) -> "OutputSpec":
        given = [name for name in ("location", "base_location") if getattr(self, name) is not None]
        if len(given) != 1:
            which = "both were given" if given else "neither was given"
            raise ValueError(f"give exactly one of location and base_location; {which}")
        if not getattr(self, given[0]).strip():
            raise ValueError(f"{given[0]} is empty; give a path, a URL or a stage")
        return self
