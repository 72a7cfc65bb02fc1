"""What a `defs.yaml` gives: assets, with their partitions, inputs and texts."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from tests.dagster.projects import DAYS, MINIMAL, REGIONS, asset, materialized, project, refused, spec_of

import gristmill

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
