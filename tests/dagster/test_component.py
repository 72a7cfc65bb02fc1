"""The component: what a `defs.yaml` gives, and what is refused with the place where it stands."""

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
import yaml
from dagster.components.testing import create_defs_folder_sandbox
from pydantic import BaseModel

import gristmill
from dagster_gristmill import BatchInferenceComponent, GristmillResource
from dagster_gristmill.asset import batch_inference_asset
from dagster_gristmill.component.asset import AssetFields
from dagster_gristmill.component.resource import EndpointFields, PoolFields, ResourceFields
from dagster_gristmill.component.sensor import SensorFields
from dagster_gristmill.component.specs import ChecksFields, ColumnFields, InputFields, JobFields, OutputFields
from dagster_gristmill.config import EndpointConfig, PoolConfig
from dagster_gristmill.sensor import sentinel_sensor
from gristmill.outputs.checks import OutputChecks
from gristmill.settings import Settings
from gristmill.spec.input import ColumnHandling, InputSpec
from gristmill.spec.job import JobSpec
from gristmill.spec.output import OutputSpec

TYPE = "dagster_gristmill.BatchInferenceComponent"
DAYS = dg.DailyPartitionsDefinition("2026-01-01")
REGIONS = dg.StaticPartitionsDefinition(["eu", "us"])


@pytest.fixture(autouse=True)
def _inline(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs run in this process, with a home of the test's own."""
    monkeypatch.setenv("GRISTMILL_DEFAULT_POOL", "inline")


@contextmanager
def project(*texts: str, files: dict[str, str] | None = None) -> Iterator[dg.Definitions]:
    """The definitions of a project in which each text is the `attributes` of a `defs.yaml`."""
    with create_defs_folder_sandbox() as sandbox:
        for number, text in enumerate(texts):
            folder = sandbox.defs_folder_path / f"one{number}"
            folder.mkdir()
            for name, content in (files or {}).items():
                (folder / name).write_text(content)
            (folder / "defs.yaml").write_text(f"type: {TYPE}\nattributes:\n" + _indented(text))
        with sandbox.build_all_defs() as defs:
            yield defs


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in inspect.cleandoc(text).splitlines())


def asset(text: str, **named: Any) -> dg.AssetsDefinition:
    """The one asset of a component."""
    with project(text, **named) as defs:
        (found,) = defs.assets or ()
    assert isinstance(found, dg.AssetsDefinition)
    return found


def spec_of(found: dg.AssetsDefinition) -> dg.AssetSpec:
    (spec,) = found.specs
    return spec


def refused(*texts: str) -> str:
    """What is said of a project that does not load: the errors, from the last to the first."""
    with pytest.raises(Exception) as caught, project(*texts):  # noqa: PT011 - Dagster's own kinds
        pass
    said, error = [], caught.value
    while error is not None:
        said.append(str(error))
        error = error.__cause__ or error.__context__
    return "\n".join(said)


def materialized(defs: dg.Definitions, instance: dg.DagsterInstance | None = None, **how: Any) -> dg.MaterializeResult:
    """The metadata of the one asset that was made."""
    result = dg.materialize(list(defs.assets or ()), resources=dict(defs.resources or {}), instance=instance, **how)
    (event,) = result.get_asset_materialization_events()
    return event.materialization


FULL = """
gristmill: {}
assets:
  - key: shop/gross
    model: "echo:"
    input_location: s3://lake/orders/{region}/{start:%Y/%m/%d}
    output_spec: {location: "s3://lake/gross/{partition}", mode: overwrite}
    input_spec: {params: {vat: 0.2}}
    job_spec: {replicas: 2, memory_requests: 8GiB, on_error: record}
    compute_pool: local
    fail_on_errors: 0.05
    partitions_def:
      type: multi
      dimensions:
        region: {type: static, partition_keys: [eu, us]}
        day: {type: daily, start_date: 2026-01-01}
    backfill_policy: {type: single_run}
    checks: {max_error_rate: 0.05, fresh_within: PT26H, no_nulls: false, blocking: true}
    deps: [raw/orders]
    group_name: sales
    description: Prices with tax.
    kinds: [sklearn]
    tags: {tier: gold, cost: 3}
    owners: ["team:sales", ann@shop.example]
    metadata: {runbook: page 3}
    code_version: "3"
    automation_condition: "{{ dg.AutomationCondition.eager() }}"
    freshness_policy: "{{ dg.FreshnessPolicy.time_window(fail_window=datetime.timedelta(hours=26)) }}"
    pool: gpu
    retry_policy: {max_retries: 2, delay: 30, backoff: exponential}
    op_tags: {team: sales}
    io_manager_key: outputs
"""


def test_a_file_gives_the_whole_asset() -> None:
    made = asset(FULL)
    spec = spec_of(made)
    assert spec.key == dg.AssetKey(["shop", "gross"])
    assert spec.partitions_def == dg.MultiPartitionsDefinition({"region": REGIONS, "day": DAYS})
    assert {dep.asset_key for dep in spec.deps} == {dg.AssetKey(["raw", "orders"])}
    assert (spec.group_name, spec.description, spec.code_version) == ("sales", "Prices with tax.", "3")
    assert spec.kinds == {"gristmill", "sklearn"}
    assert {"tier": "gold", "cost": "3"}.items() <= spec.tags.items()
    assert spec.owners == ["team:sales", "ann@shop.example"]
    assert spec.metadata["runbook"] == "page 3"
    assert spec.automation_condition == dg.AutomationCondition.eager()
    assert spec.freshness_policy is not None
    assert made.backfill_policy == dg.BackfillPolicy.single_run()
    assert {one.name: one.blocking for one in made.check_specs} == dict.fromkeys(
        ("complete", "error_rate", "fresh"), True
    )
    assert made.op.retry_policy == dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL)
    assert made.op.pool == "gpu"
    assert made.op.tags["team"] == "sales"
    assert made.required_resource_keys >= {"gristmill", "outputs"}


MINIMAL = """
gristmill: {}
assets:
  - key: gross
    model: "echo:"
    input_location: lake/orders/{partition}
    output_spec: {location: "lake/gross/{partition}", mode: overwrite}
    partitions_def: PARTITIONS
"""


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("{type: daily, start_date: 2026-01-01}", DAYS),
        ("{type: daily, start_date: 2026-01-01, timezone: Europe/Berlin, hour_offset: 6}",
         dg.DailyPartitionsDefinition("2026-01-01", timezone="Europe/Berlin", hour_offset=6)),
        ("{type: hourly, start_date: '2026-01-01-00:00'}", dg.HourlyPartitionsDefinition("2026-01-01-00:00")),
        ("{type: weekly, start_date: 2026-01-01}", dg.WeeklyPartitionsDefinition("2026-01-01")),
        ("{type: monthly, start_date: 2026-01-01}", dg.MonthlyPartitionsDefinition("2026-01-01")),
        ("{type: monthly, start_date: '{{ env.START }}'}", dg.MonthlyPartitionsDefinition("2026-03-01")),
        ("{type: daily, start_date: '{{ env.START }}'}", dg.DailyPartitionsDefinition("2026-03-01")),
        ("{type: time_window, start_date: 2026-01, fmt: '%Y-%m', cron_schedule: 0 0 1 * *}",
         dg.TimeWindowPartitionsDefinition(start="2026-01", fmt="%Y-%m", cron_schedule="0 0 1 * *")),
        ("{type: static, partition_keys: [eu, us]}", REGIONS),
        ("{type: dynamic, name: customers}", dg.DynamicPartitionsDefinition(name="customers")),
        ("'{{ dg.DailyPartitionsDefinition(start_date=\"2026-01-01\") }}'", DAYS),
    ],
)  # fmt: skip
def test_every_kind_of_partitions_can_be_written_down(
    given: str, wanted: dg.PartitionsDefinition[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("START", "2026-03-01")
    assert spec_of(asset(MINIMAL.replace("PARTITIONS", given))).partitions_def == wanted


def test_braces_of_the_partition_reach_the_asset_and_double_braces_are_rendered(
    lake: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE", str(lake))
    text = """
    gristmill: {stages: {lake: "{{ env.LAKE }}"}}
    assets:
      - key: gross
        model: "echo:"
        input_location: "@lake/orders/{partition}"
        output_spec: {location: "{{ env.LAKE }}/gross/{start:%Y/%m/%d}", mode: overwrite}
        partitions_def: {type: daily, start_date: 2026-01-01}
    """
    with project(text) as defs:
        made = materialized(defs, instance, partition_key="2026-01-02")
    assert made.partition == "2026-01-02"
    assert made.metadata["location"].value == str(lake / "gross/2026/01/02")
    assert gristmill.read_manifest(lake / "gross/2026/01/02").rows == 10


def test_a_query_may_stand_in_a_file_beside(lake: Path) -> None:
    text = f"""
    gristmill: {{}}
    assets:
      - key: large
        model: "echo:"
        query: large.sql
        output_spec: {{location: "{lake}/large/{{partition}}", mode: overwrite}}
        partitions_def: {{type: daily, start_date: 2026-01-01}}
    """
    sql = f"SELECT *\nFROM '{lake}/orders/{{partition}}/*.parquet'\nWHERE id > 14\n"
    with project(text, files={"large.sql": sql}) as defs:
        materialized(defs, partition_key="2026-01-02")
    assert gristmill.read_output(lake / "large/2026-01-02")["id"].to_pylist() == [15, 16, 17, 18, 19]
    assert "there is no file" in refused(text)


TWICE = """
import pyarrow as pa
from gristmill import CustomModel, inference_api

class Twice(CustomModel):
    @inference_api(inputs={"echo": "string"}, outputs={"twice": "string"})
    def twice(self, rows: pa.RecordBatch):
        return {"twice": [2 * text for text in rows["echo"].to_pylist()]}
"""


def test_an_asset_reads_the_output_of_another(
    lake: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lake / "component_twice.py").write_text(TWICE)
    monkeypatch.syspath_prepend(lake)
    text = f"""
    gristmill: {{}}
    assets:
      - key: first
        model: "echo:"
        input_location: "{lake}/orders/*/*.parquet"
        output_spec: {{location: "{lake}/first", mode: overwrite}}
      - key: second
        model: python:component_twice:Twice
        input_asset: first
        output_spec: {{location: "{lake}/second", mode: overwrite}}
    """
    with project(text) as defs:
        result = dg.materialize(list(defs.assets or ()), resources=dict(defs.resources or {}), instance=instance)
    assert result.success
    assert gristmill.read_manifest(lake / "second").rows == 30


def test_texts_that_look_like_numbers_stay_texts(lake: Path) -> None:
    text = f"""
    gristmill: {{}}
    assets:
      - key: "2026"
        model: "echo:"
        input_location: "{lake}/orders/*/*.parquet"
        output_spec: {{location: "{lake}/out", mode: overwrite}}
        code_version: "007"
        tags: {{budget: "1_000", urgent: true}}
    """
    spec = spec_of(asset(text))
    assert spec.code_version == "007"
    assert {"budget": "1_000", "urgent": "true"}.items() <= spec.tags.items()


SECRETS = """
gristmill:
  home: "{{ env.MILL_HOME }}"
  storage_options: {s3: {endpoint_url: "http://127.0.0.1:9000"}}
  storage_secrets: {s3: {key: {env: MILL_KEY}}}
  pools: {gpu: {kind: ray, address: "http://head:8265", token: {env: MILL_TOKEN}}}
  endpoints: {lab: {base_url: "http://llm.lab/v1", api_key: {env: MILL_API_KEY}, options: {window: 8}}}
assets: []
"""


def test_secrets_are_named_and_read_where_a_run_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MILL_KEY", "MILL_TOKEN", "MILL_API_KEY"):
        monkeypatch.setenv(name, f"hush-{name}")
    monkeypatch.setenv("MILL_HOME", "memory://mill")
    with project(SECRETS) as defs:
        resource = (defs.resources or {})["gristmill"]
        told = str(defs.get_repository_def().get_top_level_resources()["gristmill"].config_schema) + repr(resource)
    assert isinstance(resource, GristmillResource)
    assert "hush" not in told
    monkeypatch.setenv("MILL_KEY", "hush-a-new-one")
    settings = resource.process_config_and_initialize().settings()
    assert settings.home == "memory://mill"
    assert settings.storage_options["s3"] == {"endpoint_url": "http://127.0.0.1:9000", "key": "hush-a-new-one"}
    assert settings.pool("gpu").token.get_secret_value() == "hush-MILL_TOKEN"
    assert settings.endpoints["lab"].api_key.get_secret_value() == "hush-MILL_API_KEY"
    assert settings.endpoints["lab"].window == 8


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{pools: {gpu: {kind: ray, token: '{{ env.MILL_KEY }}'}}}", "name its variable: {env: NAME}"),
        ("{storage_secrets: {s3: {key: '{{ env.MILL_KEY }}'}}}", "storage_secrets.s3.key: is a secret"),
        ("{endpoints: {lab: {api_key: '{{ env.MILL_KEY }}'}}}", "name its variable: {env: NAME}"),
        ("{storage_options: {s3: {secret: '{{ env.MILL_KEY }}'}}}", "move it to storage_secrets"),
        ("{pools: {gpu: {kind: ry, token: {env: MILL_KEY}}}}", "PoolSettings.kind"),
    ],
)
def test_a_secret_that_would_stand_in_the_definition_is_refused_and_not_repeated(
    given: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILL_KEY", "hush-hush")
    told = refused(f"gristmill: {given}\nassets: []")
    assert said in told
    assert "hush-hush" not in told


def test_components_that_say_the_same_share_a_resource_and_others_are_refused() -> None:
    other = 'gristmill: {home: "memory://other"}\nassets: []'
    same = "gristmill: {pools: {gpu: {kind: ray, token: {env: T}}}}\nassets: []"
    with project(same, same, "assets: []") as defs:
        assert set(defs.resources or {}) == {"gristmill"}
    assert "different resources with same key 'gristmill'" in refused(same, other)
    with project(same, f"resource_key: lab\n{other}") as defs:
        assert set(defs.resources or {}) == {"gristmill", "lab"}


def test_the_assets_use_the_resource_of_the_key() -> None:
    text = FULL.replace("gristmill: {}", "gristmill: {}\nresource_key: lab")
    assert {"lab"} <= asset(text).required_resource_keys
    assert "gristmill" not in asset(text).required_resource_keys


SENSOR = """
gristmill: {}
assets:
  - key: gross
    model: "echo:"
    input_location: LAKE/orders/{partition}
    output_spec: {location: "LAKE/gross/{partition}", mode: overwrite}
    partitions_def: {type: daily, start_date: 2026-01-01}
sensors:
  - name: orders_are_there
    location: LAKE/landed/{day}
    target: gross
    partitions_def: {type: daily, start_date: 2026-01-01}
    min_rows: 1
    default_status: running
"""


def test_a_sensor_asks_for_the_partition_whose_output_has_landed(lake: Path, instance: dg.DagsterInstance) -> None:
    gristmill.run_batch(
        "echo:", input_location=lake / "orders/2026-01-02", output_spec={"location": lake / "landed/2026-01-02"}
    ).wait()
    with project(SENSOR.replace("LAKE", str(lake))) as defs:
        (sensor,) = defs.sensors or ()
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
        with dg.build_sensor_context(instance, resources=dict(defs.resources or {}), definitions=defs) as context:
            (asked,) = sensor.evaluate_tick(context).run_requests
    assert asked.partition_key == "2026-01-02"


def test_other_assets_load_an_output_with_the_io_manager_of_the_file(lake: Path, instance: dg.DagsterInstance) -> None:
    text = f"""
    gristmill: {{}}
    io_manager_key: outputs
    assets:
      - key: gross
        model: "echo:"
        input_location: "{lake}/orders/*/*.parquet"
        output_spec: {{location: "{lake}/gross", mode: overwrite}}
    """

    @dg.asset(ins={"gross": dg.AssetIn(input_manager_key="outputs")})
    def rows(gross: pa.Table) -> dg.MaterializeResult[Any]:
        return dg.MaterializeResult(metadata={"rows": gross.num_rows})

    with project(text, "gristmill: {}\nio_manager_key: outputs") as defs:
        resources = dict(defs.resources or {})
        result = dg.materialize([*(defs.assets or ()), rows], resources=resources, instance=instance)
    (event,) = result.asset_materializations_for_node("rows")
    assert event.metadata["rows"].value == 30
    assert "io_manager_key: an I/O manager needs the resource" in refused("io_manager_key: outputs")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{name: landed, location: lake}", "landed"),
        ("{name: landed, location: lake, target: gross, max_error_rate: 2}", "max_error_rate"),
        ("{name: landed, location: lake, target: gross, min_row: 2}", "sensors.0.min_row"),
    ],
)
def test_a_sensor_that_can_do_nothing_is_refused_with_its_line(given: str, said: str) -> None:
    told = refused(f"gristmill: {{}}\nsensors:\n  - {given}")
    assert said in told
    assert "defs.yaml:5" in told


@pytest.mark.parametrize(
    ("was", "becomes", "said", "line"),
    [
        ("model:", "modle:", "assets.0.modle", 5),
        ("mode: overwrite", "mdoe: overwrite", "assets.0.output_spec.mdoe", 7),
        ("type: daily", "type: dayly", "'dayly'", 8),
        ("start_date: 2026-01-01", "start_date: yesterday", "'yesterday' does not match", 8),
        ("mode: overwrite", "mode: replace", "'replace'", 7),
        ("gross/{partition}", "gross/{region}", "nothing fills", 4),
        ("gross/{partition}", "gross/all", "the same for several partitions", 4),
        ("input_location: lake/orders/{partition}", "description: no input", "give exactly one of", 4),
        ("input_location:", "job_spec: {replicas: 0}\n    input_location:", "JobSpec.replicas", 6),
        ("input_location:", "job_spec: {memory_requests: 8parsecs}\n    input_location:", "8parsecs", 6),
        ("input_location:", "checks: {max_error_rate: 2}\n    input_location:", "OutputChecks.max_error_rate", 6),
        ("input_location:", "checks: {fresh_within: later}\n    input_location:", "OutputChecks.fresh_within", 6),
        ("input_location:", "poll_interval: 0\n    input_location:", "poll_interval", 4),
        ("input_location:", "retry_policy: {jitter: full}\n    input_location:", "jitter", 6),
        ("input_location:", "input_location: '{{ env.LAKE ~ nothing.there }}'\n    code_version:", "nothing", 6),
    ],
)
def test_what_is_wrong_is_refused_by_name_with_its_line(was: str, becomes: str, said: str, line: int) -> None:
    text = MINIMAL.replace("PARTITIONS", "{type: daily, start_date: 2026-01-01}")
    assert was in text
    told = refused(text.replace(was, becomes))
    assert said in told
    assert f"defs.yaml:{line + 1}" in told  # the file begins with two lines more, and the text with an empty one


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
    assert fields(InputFields.model()) == fields(InputSpec) - {"partition_column"}  # refused everywhere
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


Scaffold = Callable[..., Path]


def test_what_is_scaffolded_loads_and_runs_as_it_is() -> None:
    with create_defs_folder_sandbox() as sandbox:
        sandbox.scaffold_component(component_cls=BatchInferenceComponent, defs_path="scores")
        with sandbox.build_all_defs() as defs:
            made = materialized(defs)
        assert made.asset_key == dg.AssetKey("scores")
        assert made.metadata["location"].value == str(sandbox.project_root / "output/scores")
        assert gristmill.read_manifest(sandbox.project_root / "output/scores").rows == 3


def test_scaffolding_takes_what_it_is_told_and_leaves_the_resource_to_the_first() -> None:
    told = {
        "key": "shop/gross",
        "model": "python:shop:Prices",
        "input_location": "lake/orders/{partition}",
        "output_location": "lake/gross",
        "partitions": "daily",
        "start_date": "2026-01-01",
    }
    with create_defs_folder_sandbox() as sandbox:
        first = sandbox.scaffold_component(component_cls=BatchInferenceComponent, scaffold_params=told)
        given = yaml.load((first / "defs.yaml").read_text(), yaml.BaseLoader)["attributes"]
        assert given["assets"] == [
            {
                "key": "shop/gross",
                "model": "python:shop:Prices",
                "input_location": "lake/orders/{partition}",
                "output_spec": {"location": "lake/gross/{partition}", "mode": "overwrite"},
                "partitions_def": {"type": "daily", "start_date": "2026-01-01"},
            }
        ]
        sandbox.scaffold_component(component_cls=BatchInferenceComponent, scaffold_params={"partitions": "eu, us"})
        with sandbox.build_all_defs() as defs:
            assert set(defs.resources or {}) == {"gristmill"}
            parts = {spec.partitions_def for one in defs.assets or () for spec in one.specs}
            assert parts == {DAYS, REGIONS}


@pytest.mark.parametrize("partitions", ["hourly", "daily", "weekly", "monthly"])
def test_scaffolded_partitions_have_a_first_day_of_their_own(partitions: str) -> None:
    with create_defs_folder_sandbox() as sandbox:
        params = {"partitions": partitions}
        sandbox.scaffold_component(component_cls=BatchInferenceComponent, scaffold_params=params)
        with sandbox.build_all_defs() as defs:
            (found,) = defs.assets or ()
            assert spec_of(found).partitions_def.get_partition_keys() or partitions in ("weekly", "monthly")


def test_a_python_file_is_scaffolded_where_it_is_asked_for() -> None:
    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.scaffold_component(component_cls=BatchInferenceComponent, scaffold_format="python")
        text = (path / "component.py").read_text()
    assert "from dagster_gristmill.component.component import BatchInferenceComponent" in text or TYPE in text
