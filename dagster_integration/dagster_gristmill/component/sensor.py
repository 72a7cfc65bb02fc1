"""A sensor of a `defs.yaml`: the arguments of `sentinel_sensor` as fields."""

from typing import Annotated, Any, Literal

import dagster as dg

from dagster_gristmill.component.asset import Key
from dagster_gristmill.component.checked import Checked
from dagster_gristmill.component.partitions import Partitions
from dagster_gristmill.component.text import labels, text, values
from gristmill.errors import SpecError

__all__ = ["SensorFields"]

_tell = dg.Resolver.default


class SensorFields(Checked):
    """A sensor that fires once for each `_SUCCESS` that lands at a location, with the partition that its path names."""

    name: Annotated[str, text("The sensor's name.")]
    location: Annotated[
        str, text("Where outputs land; fields stand for folders of partitions.", "s3://lake/scores/{region}/{date}")
    ]
    asset_key: Annotated[Key | None, _tell(description="The external asset whose materializations it reports.")] = None
    target: Annotated[
        str | None, text("The assets to run, as a selection.", "gross", "group:sales", 'key:"shop/*"+')
    ] = None
    job: Annotated[str | None, text("Or the name of a job to run.")] = None
    partitions_def: Partitions = None
    partition_key: Annotated[
        str | dict[str, str] | None,
        values("What the key is, where the fields do not make it; for each dimension.", "{year}-{month}-{day}"),
    ] = None
    job_id: Annotated[str | None, text("Only what this job of Gristmill wrote.")] = None
    newer_than: Annotated[
        str | None, text("Only what was finished after this moment, with a time zone.", "2026-01-01T00:00:00Z")
    ] = None
    min_rows: Annotated[int | None, _tell(description="Only an output of at least so many rows.")] = None
    max_error_rate: Annotated[
        float | None, _tell(description="Only an output of which at most this share of rows failed, 0 to 1.")
    ] = None
    minimum_interval_seconds: Annotated[int, _tell(description="Seconds between two looks.")] = 30
    looks_per_tick: Annotated[int, _tell(description="How many new outputs one tick tells of.")] = 500
    default_status: Annotated[Literal["running", "stopped"], _tell(description="Whether it runs from the start.")] = (
        "stopped"
    )
    description: Annotated[str | None, text("What it is for.")] = None
    tags: Annotated[dict[str, str] | None, labels("Tags of the sensor.")] = None

    def check(self) -> None:
        """Refuse what makes no sensor."""
        if self.minimum_interval_seconds < 0:
            raise SpecError(
                f"minimum_interval_seconds: must be 0 seconds or more (given: {self.minimum_interval_seconds})"
            )
        self.definition(resource_key="gristmill")

    def definition(self, *, resource_key: str) -> dg.SensorDefinition:
        """The sensor.

        Raises:
            SpecError: what the fields say cannot be right.
        """
        from dagster_gristmill.sensor import sentinel_sensor

        given: dict[str, Any] = self.given()
        if self.target is not None:
            given["target"] = dg.AssetSelection.from_string(self.target)
        given["default_status"] = dg.DefaultSensorStatus[self.default_status.upper()]
        return sentinel_sensor(given.pop("name"), **given, resource_key=resource_key)
