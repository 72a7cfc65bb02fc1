"""Partitions of an asset in a `defs.yaml`: Dagster's own kinds, and months, dynamic ones and two dimensions."""

from typing import Annotated, Any, Literal, TypeAlias

import dagster as dg
from dagster.components.resolved.core_models import (
    DailyPartitionsDefinitionModel,
    HourlyPartitionsDefinitionModel,
    TimeWindowPartitionsDefinitionModel,
    WeeklyPartitionsDefinitionModel,
    resolve_partitions_def,
)
from pydantic import Field

from dagster_gristmill.component.text import rendered
from gristmill.errors import SpecError

__all__ = [
    "DynamicPartitions",
    "MonthlyPartitions",
    "MultiPartitions",
    "Partitions",
    "StaticPartitions",
    "partitions_of",
]


class MonthlyPartitions(dg.Model):
    """A partition for each month."""

    type: Literal["monthly"] = "monthly"
    start_date: str
    end_date: str | None = None
    timezone: str | None = None
    minute_offset: int = 0
    hour_offset: int = 0
    day_offset: int = 1


class StaticPartitions(dg.Model):
    """Partitions whose keys are written down.

    Dagster's own model has a sequence here, of which it cannot say that a text is none.
    """

    type: Literal["static"] = "static"
    partition_keys: list[str]


class DynamicPartitions(dg.Model):
    """Partitions that are added while Dagster runs, under a name."""

    type: Literal["dynamic"] = "dynamic"
    name: str


_OneDimension: TypeAlias = (
    HourlyPartitionsDefinitionModel
    | DailyPartitionsDefinitionModel
    | WeeklyPartitionsDefinitionModel
    | MonthlyPartitions
    | TimeWindowPartitionsDefinitionModel
    | StaticPartitions
    | DynamicPartitions
)
_BY_TYPE = Field(discriminator="type")
"""Without it, a `start_date` alone would be hours."""


class MultiPartitions(dg.Model):
    """Partitions of two dimensions; their names are fields of templates."""

    type: Literal["multi"] = "multi"
    dimensions: dict[str, Annotated[_OneDimension, _BY_TYPE]]


def partitions_of(context: dg.ResolutionContext, given: Any) -> dg.PartitionsDefinition[Any] | None:
    """The definition that a field of a `defs.yaml` stands for."""
    if given is None or isinstance(given, dg.PartitionsDefinition):
        return given
    if isinstance(given, str):
        raise SpecError(f"partitions_def: {given!r} is no partitions definition; give {{type: daily, start_date: ...}}")
    if isinstance(given, MultiPartitions):
        place = context.at_path("dimensions")
        dimensions = {name: partitions_of(place.at_path(name), one) for name, one in given.dimensions.items()}
        return dg.MultiPartitionsDefinition({name: one for name, one in dimensions.items() if one is not None})
    fields = rendered(context, given.model_dump())
    if isinstance(given, MonthlyPartitions):
        return dg.MonthlyPartitionsDefinition(**{name: fields[name] for name in fields if name != "type"})
    if isinstance(given, StaticPartitions):
        return dg.StaticPartitionsDefinition([str(key) for key in fields["partition_keys"]])
    if isinstance(given, DynamicPartitions):
        return dg.DynamicPartitionsDefinition(name=fields["name"])
    return resolve_partitions_def(context, given.model_copy(update=fields))


Partitions: TypeAlias = Annotated[
    dg.PartitionsDefinition[Any] | None,
    dg.Resolver(
        partitions_of,
        model_field_type=Annotated[_OneDimension | MultiPartitions, _BY_TYPE] | None,
        description="Its partitions; a job runs for each. Or `{{ dg.DailyPartitionsDefinition(...) }}`.",
        examples=[
            {"type": "daily", "start_date": "2026-01-01"},
            {"type": "static", "partition_keys": ["eu", "us"]},
            {
                "type": "multi",
                "dimensions": {
                    "region": {"type": "static", "partition_keys": ["eu", "us"]},
                    "day": {"type": "daily", "start_date": "2026-01-01"},
                },
            },
        ],
    ),
]
