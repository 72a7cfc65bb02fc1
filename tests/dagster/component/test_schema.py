"""What `dg` shows of the component: its fields, and a file that it describes."""

import inspect
import re

import pytest
import yaml
from pydantic import BaseModel
from tests.dagster.projects import DAYS, TYPE, asset, spec_of

from dagster_gristmill import BatchInferenceComponent, GristmillResource
from dagster_gristmill.asset import batch_inference_asset
from dagster_gristmill.component.asset import AssetFields
from dagster_gristmill.component.resource import EndpointFields, PoolFields, ResourceFields
from dagster_gristmill.component.sensor import SensorFields
from dagster_gristmill.component.specs import ChecksFields, ColumnFields, InputFields, JobFields, OutputFields
from dagster_gristmill.config import EndpointConfig, PoolConfig
from dagster_gristmill.sensor import sentinel_sensor
from gristmill.outputs.checks import OutputChecks
from gristmill.spec.input import ColumnHandling, InputSpec
from gristmill.spec.job import JobSpec
from gristmill.spec.output import OutputSpec


def test_fields_of_a_file_are_those_of_what_they_stand_for() -> None:
    def fields(kind: type[BaseModel]) -> set[str]:
        return set(kind.model_fields)

    assert fields(ResourceFields.model()) == fields(GristmillResource)
    assert fields(PoolFields.model()) == fields(PoolConfig)
    assert fields(EndpointFields.model()) == fields(EndpointConfig)
    assert fields(OutputFields.model()) == fields(OutputSpec)
    assert fields(ColumnFields.model()) == fields(ColumnHandling)
    assert fields(ChecksFields.model()) == fields(OutputChecks)
    assert fields(JobFields.model()) == fields(JobSpec) - {"block"}  # the step waits
    assert fields(InputFields.model()) == fields(InputSpec)
    assert fields(SensorFields.model()) == set(inspect.signature(sentinel_sensor).parameters) - {
        "asset_selection",  # `target` is one
        "resource_key",
    }
    assert fields(AssetFields.model()) == set(inspect.signature(batch_inference_asset).parameters) - {"resource_key"}


def test_every_field_of_the_schema_says_what_it_is() -> None:
    schema = BatchInferenceComponent.model().model_json_schema()
    ours = [one for name, one in schema["$defs"].items() if name.endswith("FieldsModel")]
    assert len(ours) == 12
    for model in (schema, *ours):
        for name, field in model["properties"].items():
            assert name in ("max_retries", "env") or field.get("description"), f"{model['title']}.{name}"


def test_the_description_that_dg_shows_is_a_file_that_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRISTMILL_HOME", "memory://home")
    spec = BatchInferenceComponent.get_spec()
    (shown,) = re.findall(r"```yaml\n(.*?)```", inspect.cleandoc(spec.description), re.DOTALL)
    given = yaml.safe_load(shown.replace("2026-01-01", "'2026-01-01'"))
    assert given["type"] == TYPE
    assert spec_of(asset(yaml.safe_dump(given["attributes"]))).partitions_def == DAYS
    assert set(spec.produces) == {"asset", "asset_check", "resource", "sensor"}
