"""`BatchInferenceComponent`: a `defs.yaml` that gives assets, their checks, the resource and sensors."""

from typing import Annotated

import dagster as dg

from dagster_gristmill.component.asset import AssetFields
from dagster_gristmill.component.checked import Checked
from dagster_gristmill.component.resource import ResourceFields
from dagster_gristmill.component.scaffold import BatchInferenceScaffolder
from dagster_gristmill.component.sensor import SensorFields
from dagster_gristmill.component.text import text
from dagster_gristmill.io_manager import GristmillIOManager
from dagster_gristmill.resource import GristmillResource
from gristmill.errors import SpecError

__all__ = ["BatchInferenceComponent"]

_tell = dg.Resolver.default


@dg.scaffold_with(BatchInferenceScaffolder)
class BatchInferenceComponent(dg.Component, Checked):
    """Batch inference as assets: a model over a dataset, one job for each partition.

    Each asset comes with its checks. Locations and queries are templates over the partition: `{partition}`, the names
    of dimensions such as `{region}`, and `{start}` and `{end}` of a window of time, as `{start:%Y/%m/%d}`. What stands
    in `{{ ... }}` is Dagster's: it is rendered where the file is loaded.

    ```yaml
    type: dagster_gristmill.BatchInferenceComponent
    attributes:
      gristmill:
        home: "{{ env.GRISTMILL_HOME }}"
        storage_secrets: { s3: { key: { env: S3_KEY }, secret: { env: S3_SECRET } } }
      assets:
        - key: gross
          model: python:shop:Prices
          input_location: s3://lake/orders/{partition}
          output_spec: { location: "s3://lake/gross/{partition}", mode: overwrite }
          partitions_def: { type: daily, start_date: 2026-01-01 }
          backfill_policy: { type: single_run }
    ```
    """

    assets: Annotated[list[AssetFields], _tell(description="The assets; each is a model over a dataset.")] = []
    sensors: Annotated[
        list[SensorFields], _tell(description="Sensors that fire when an output lands, whoever wrote it.")
    ] = []
    gristmill: Annotated[
        ResourceFields | None,
        _tell(
            description="The resource, unless another file gives it. Components that say the same share one.",
            examples=[{"home": "{{ env.GRISTMILL_HOME }}"}],
        ),
    ] = None
    resource_key: Annotated[str, text("The resource's key.")] = "gristmill"
    io_manager_key: Annotated[
        str | None, text("Gives an I/O manager of this key, with which other assets load outputs.", "outputs")
    ] = None

    def check(self) -> None:
        """Refuse an I/O manager without a resource, or in its place."""
        if self.io_manager_key is not None and self.gristmill is None:
            raise SpecError("io_manager_key: an I/O manager needs the resource; give `gristmill` in this file, too")
        if self.io_manager_key == self.resource_key:
            raise SpecError(
                f"io_manager_key: {self.io_manager_key!r} is the resource's own key; give another, such as 'outputs'"
            )

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        """What `dg list components` shows."""
        return dg.ComponentTypeSpec(
            description=cls.__doc__,
            owners=["team:gristmill"],
            tags=["batch-inference", "machine-learning", "gristmill"],
            produces=["asset", "asset_check", "resource", "sensor"],
        )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:  # noqa: ARG002 - Dagster's signature
        """The assets with their checks, the sensors, and the resource."""
        return dg.Definitions(
            assets=[one.definition(resource_key=self.resource_key) for one in self.assets],
            sensors=[one.definition(resource_key=self.resource_key) for one in self.sensors],
            resources=self._resources(),
        )

    def _resources(self) -> dict[str, GristmillResource | GristmillIOManager]:
        if self.gristmill is None:
            return {}
        loads = {} if self.io_manager_key is None else {self.io_manager_key: self.gristmill.io_manager()}
        return {self.resource_key: self.gristmill.resource(), **loads}
