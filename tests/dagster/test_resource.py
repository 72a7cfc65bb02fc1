"""The resource: settings of a code location, and a job inside an asset of one's own."""

from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from pydantic import ValidationError

import gristmill
from dagster_gristmill import GristmillResource, OutputChecks, check_specs
from gristmill.errors import SpecError

DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-04")
INLINE = GristmillResource(default_pool="inline")


def settings_in_a_run(resource, **options):
    """The settings as a step sees them: with the variables of the environment in their place."""
    seen = []

    @dg.op
    def look(gristmill: GristmillResource) -> None:
        seen.append(gristmill.settings())

    @dg.job(resource_defs={"gristmill": resource})
    def job():
        look()

    result = job.execute_in_process(**options)
    assert result.success
    return seen[0], result


def test_what_is_left_open_comes_from_the_surroundings(settings, monkeypatch):
    monkeypatch.setenv("GRISTMILL_STAGES", '{"lake": "s3://lake"}')
    Path("gristmill.toml").write_text('default_pool = "inline"\n')
    found, _ = settings_in_a_run(GristmillResource(resolver={"timeout": 5.0}))
    assert found.home == settings.home
    assert found.stages == {"lake": "s3://lake"}
    assert found.default_pool == "inline"
    assert found.resolver.timeout == 5.0


def test_all_fields_reach_the_settings(settings):
    found, _ = settings_in_a_run(
        GristmillResource(
            home="memory://home",
            stages={"db.public.images": "s3://images"},
            allowed=["s3://raw/"],
            pools={"gpu": {"kind": "ray", "address": "http://head:8265", "runtime_env": {"pip": ["x"]}}},
            default_pool="gpu",
            storage_options={"s3": {"endpoint_url": "http://minio:9000", "client_kwargs": {"verify": False}}},
            endpoints={"lab": {"base_url": "http://llm/v1", "options": {"requests_per_minute": 60}}},
            resolver={"max_in_flight": 3},
            registry="http://mlflow:5000",
            trusted_registries=[],
            model_cache="/mnt/models",
        )
    )
    assert (found.home, found.default_pool, found.allowed) == ("memory://home", "gpu", ("s3://raw/",))
    assert found.stages == {"db.public.images": "s3://images"}
    assert found.pool("gpu").address == "http://head:8265"
    assert found.pool("gpu").runtime_env == {"pip": ["x"]}
    assert found.pool("gpu").placement_timeout == 300
    assert found.storage_options["s3"] == {"endpoint_url": "http://minio:9000", "client_kwargs": {"verify": False}}
    assert found.endpoints["lab"].requests_per_minute == 60
    assert found.resolver.max_in_flight == 3
    assert (found.registry, found.trusted_registries, found.model_cache) == ("http://mlflow:5000", (), "/mnt/models")


SECRETS = {"POOL_TOKEN": "token-9d1", "S3_SECRET": "secret-77a", "LAB_KEY": "key-c03"}


def test_secrets_are_read_in_the_run_and_stand_in_none_of_its_records(settings, monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    instance = dg.DagsterInstance.ephemeral()
    found, result = settings_in_a_run(
        GristmillResource(
            pools={"gpu": {"kind": "ray", "address": "http://head:8265", "token": dg.EnvVar("POOL_TOKEN")}},
            storage_secrets={"s3": {"secret": dg.EnvVar("S3_SECRET")}},
            storage_options={"s3": {"endpoint_url": "http://minio:9000"}},
            endpoints={"lab": {"base_url": "http://llm/v1", "api_key": dg.EnvVar("LAB_KEY")}},
        ),
        instance=instance,
    )
    assert found.pool("gpu").token.get_secret_value() == "token-9d1"
    assert found.storage_options["s3"] == {"endpoint_url": "http://minio:9000", "secret": "secret-77a"}
    assert found.endpoints["lab"].api_key.get_secret_value() == "key-c03"
    run = instance.get_run_by_id(result.run_id)
    records = [str(run.run_config), str(run.tags), *map(str, instance.all_logs(result.run_id))]
    assert not [value for value in SECRETS.values() for record in records if value in record]


def test_variables_are_read_wherever_a_field_of_free_form_has_them(settings, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf-5521")
    resource = GristmillResource(
        pools={"gpu": {"kind": "ray", "runtime_env": {"env_vars": {"HF": dg.EnvVar("HF_TOKEN")}, "pip": ["x"]}}},
        storage_options={"s3": {"client_kwargs": {"keys": [dg.EnvVar("HF_TOKEN")]}}},
    )
    for found in (settings_in_a_run(resource)[0], resource.settings()):
        assert found.pool("gpu").runtime_env == {"env_vars": {"HF": "hf-5521"}, "pip": ["x"]}
        assert found.storage_options["s3"] == {"client_kwargs": {"keys": ["hf-5521"]}}


def test_a_variable_that_is_not_set_is_named_with_its_field(settings):
    resource = GristmillResource(storage_options={"s3": {"key": dg.EnvVar("NOBODY_SETS_THIS")}})
    with pytest.raises(SpecError, match=r"storage_options.s3.key: the variable NOBODY_SETS_THIS .* is not set"):
        resource.settings()


WRONG = [
    ({"pools": {"gpu": {"kind": "gpus"}}}, "pools.gpu: PoolSettings.kind"),
    ({"pools": {"gpu": {"kind": "ray", "address": "head:8265"}}}, "is not the address of a Jobs API"),
    ({"endpoints": {"lab": {"base_url": "llm"}}}, "is not an address"),
    (
        {"endpoints": {"lab": {"options": {"per_minute": 3}}}},
        "endpoints.lab: EndpointSettings.per_minute: is not a field of it",
    ),
    ({"resolver": {"attempts": 0}}, "resolver: ResolverSettings.attempts"),
]


@pytest.mark.parametrize(("fields", "problem"), WRONG)
def test_a_wrong_field_is_named(settings, fields, problem):
    with pytest.raises(SpecError, match=f"GristmillResource: .*{problem}"):
        GristmillResource(**fields).settings()


@pytest.mark.parametrize("fields", [{"tokn": "hush"}, {"pools": {"gpu": {"kind": "ray", "tokn": "hush"}}}])
def test_a_field_that_is_none_is_refused_and_not_repeated(fields):
    with pytest.raises(ValidationError, match="tokn") as caught:
        GristmillResource(**fields)
    assert "hush" not in str(caught.value)


def test_a_wrong_secret_is_not_repeated(settings, monkeypatch):
    monkeypatch.setenv("POOL_TOKEN", "to ken")
    resource = GristmillResource(pools={"gpu": {"kind": "ray", "token": "to ken"}})
    with pytest.raises(SpecError) as caught:
        resource.settings()
    assert "to ken" not in str(caught.value)
    assert "pools.gpu: PoolSettings.token" in str(caught.value)


# inside an asset


def run(asset, instance, **options):
    return dg.materialize([asset], instance=instance, resources={"gristmill": INLINE}, raise_on_error=False, **options)


def the_failure(result) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    data = event.step_failure_data
    return data.user_failure_data.description if data.user_failure_data else data.error.to_string()


def test_an_asset_of_ones_own_runs_a_job_over_a_frame(instance, lake):
    checks = OutputChecks(fresh_within="PT1H")

    @dg.asset(partitions_def=DAYS, check_specs=check_specs("scores", checks))
    def scores(context: dg.AssetExecutionContext, gristmill: GristmillResource):
        rows = pa.table({"id": [1, 2, 3], "day": [context.partition_key] * 3})
        yield from gristmill.run(
            context,
            model="echo:",
            X=rows,
            output_spec={"location": f"{lake}/scores/{{partition}}"},
            inference_engine_options={"column": "day"},
            checks=checks,
        )

    result = run(scores, instance, partition_key="2026-01-03")
    assert result.success
    assert gristmill.read_output(lake / "scores/2026-01-03")["echo"].to_pylist() == ["2026-01-03"] * 3
    (record,) = instance.fetch_materializations(dg.AssetKey("scores"), limit=5).records
    assert record.asset_materialization.metadata["rows"].value == 3
    assert {one.check_name: one.passed for one in result.get_asset_check_evaluations()} == dict.fromkeys(
        checks.names, True
    )


def test_a_run_of_several_partitions_asks_for_the_frame_of_each(instance, lake):
    @dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
    def scores(context: dg.AssetExecutionContext, gristmill: GristmillResource):
        yield from gristmill.run(
            context,
            model="echo:",
            X=lambda day: pa.table({"day": [day]}),
            output_spec={"location": f"{lake}/scores/{{partition}}"},
            inference_engine_options={"column": "day"},
        )

    tags = {"dagster/asset_partition_range_start": "2026-01-01", "dagster/asset_partition_range_end": "2026-01-03"}
    assert run(scores, instance, tags=tags).success
    days = ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert [gristmill.read_output(lake / "scores" / day)["echo"].to_pylist() for day in days] == [[day] for day in days]


def test_one_asset_of_several_in_a_step_is_named(instance, lake):
    @dg.multi_asset(specs=[dg.AssetSpec("small"), dg.AssetSpec("large")])
    def both(context: dg.AssetExecutionContext, gristmill: GristmillResource):
        for name, rows in (("small", 1), ("large", 5)):
            yield from gristmill.run(
                context,
                model="echo:",
                X=pa.table({"id": range(rows)}),
                output_spec={"location": f"{lake}/{name}"},
                asset_key=name,
            )

    assert run(both, instance).success
    assert (gristmill.read_manifest(lake / "small").rows, gristmill.read_manifest(lake / "large").rows) == (1, 5)
    for name in ("small", "large"):
        (record,) = instance.fetch_materializations(dg.AssetKey(name), limit=5).records
        job = gristmill.get_job(record.asset_materialization.metadata["job"].value)
        assert job.request.key == name


@pytest.mark.parametrize("wrong", [{"partitions_at_once": 0}, {"poll_interval": None}, {"force_rerun": "false"}])
def test_a_wrong_argument_fails_the_step_before_there_is_a_job(instance, lake, wrong):
    @dg.asset
    def scores(context: dg.AssetExecutionContext, gristmill: GristmillResource):
        place = {"location": f"{lake}/scores"}
        yield from gristmill.run(context, model="echo:", X=pa.table({"id": [1]}), output_spec=place, **wrong)

    assert f"{next(iter(wrong))}: give" in the_failure(run(scores, instance))
    assert not list(gristmill.list_jobs(-1).collect())


def test_what_cannot_be_right_fails_the_step_at_once(instance, lake):
    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=2))
    def scores(context: dg.AssetExecutionContext, gristmill: GristmillResource):
        yield from gristmill.run(
            context, model="echo:", input_location=f"{lake}/orders", output_spec={"location": f"{lake}/{{day}}"}
        )

    result = run(scores, instance)
    assert "output_spec.location" in the_failure(result)
    assert "{day}, which nothing fills" in the_failure(result)
    assert not [event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]
