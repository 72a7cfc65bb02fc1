"""An asset is materialized: one job for each partition, whatever the run."""

import shutil
from collections import Counter
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gristmill
from dagster_gristmill import GristmillResource, OutputChecks, batch_inference_asset
from gristmill import JobStatus
from gristmill.errors import SpecError

DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-04")
SINGLE_RUN = dg.BackfillPolicy.single_run()
KEY = dg.AssetKey("scores")
RESOURCES = {"gristmill": GristmillResource(default_pool="inline")}


@pytest.fixture
def scores(lake):
    """Makes the asset, with changes; each call of its model leaves the rows in `lake/calls`."""

    def make(**changes):
        options = {"column": "id", "log": str(lake / "calls"), **changes.pop("options", {})}
        fields = {
            "model": "echo:",
            "input_location": f"{lake}/orders/{{partition}}",
            "output_spec": {"location": f"{lake}/scores/{{partition}}", "mode": "overwrite"},
            "inference_engine_options": options,
            "partitions_def": DAYS,
            "poll_interval": 0.2,
        } | changes
        return batch_inference_asset("scores", **fields)

    return make


def calls(lake: Path) -> Counter:
    """How often the model has seen each row."""
    files = (lake / "calls").iterdir() if (lake / "calls").exists() else []
    return Counter(line for file in files for line in file.read_text().split())


def materialize(instance, *assets, tags=None, partition="2026-01-02", raises=True, **options):
    return dg.materialize(
        assets,
        instance=instance,
        resources=RESOURCES | options.pop("resources", {}),
        partition_key=partition,
        tags=tags,
        raise_on_error=raises,
        **options,
    )


def backfill(instance, *assets, first="2026-01-01", last="2026-01-03", raises=False, **options):
    """One run of several partitions."""
    job = dg.Definitions(assets, resources=RESOURCES).resolve_implicit_global_asset_job_def()
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    return job.execute_in_process(instance=instance, tags=tags | options.pop("tags", {}), raise_on_error=raises)


def events(instance, key=KEY) -> list[dg.AssetMaterialization]:
    found = instance.fetch_materializations(key, limit=100).records
    return [record.asset_materialization for record in reversed(found)]


def the_failure(result) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    data = event.step_failure_data
    return data.user_failure_data.description if data.user_failure_data else data.error.to_string()


@pytest.mark.parametrize("kind", ["instance", "kept_instance"])
def test_a_partition_is_materialized_with_what_is_known_of_its_output(request, kind, scores, lake):
    instance = request.getfixturevalue(kind)
    assert materialize(instance, scores()).success
    (event,) = events(instance)
    output = gristmill.read_manifest(lake / "scores/2026-01-02")
    assert event.partition == "2026-01-02"
    assert event.metadata["location"].value == f"{lake}/scores/2026-01-02"
    assert event.metadata["job"].value == output.job
    assert event.metadata["rows"].value == 10
    assert event.tags["dagster/data_version"] == output.fingerprint
    assert gristmill.get_job(output.job).request.key == "scores:2026-01-02"
    assert gristmill.read_output(lake / "scores/2026-01-02")["echo"].to_pylist() == list(range(10, 20))


def test_materializing_again_does_no_work_unless_the_request_has_changed(instance, scores, lake):
    for _ in range(2):
        assert materialize(instance, scores()).success
    assert set(calls(lake).values()) == {1}
    assert materialize(instance, scores(options={"output_type": "string"})).success
    assert set(calls(lake).values()) == {2}
    first, second, third = events(instance)
    assert first.metadata["job"] == second.metadata["job"] != third.metadata["job"]
    assert first.tags["dagster/data_version"] == second.tags["dagster/data_version"]
    assert first.tags["dagster/data_version"] != third.tags["dagster/data_version"]


def test_a_forced_rerun_computes_again_and_its_data_is_another_version(instance, scores, lake):
    materialize(instance, scores())
    assert materialize(instance, scores(), tags={"gristmill/force_rerun": "true"}).success
    assert set(calls(lake).values()) == {2}
    first, second = events(instance)
    assert second.tags["dagster/data_version"] != first.tags["dagster/data_version"]
    assert second.tags["dagster/data_version"].startswith(first.tags["dagster/data_version"])
    assert materialize(instance, scores(force_rerun=True)).success
    assert set(calls(lake).values()) == {3}


def test_a_tag_that_is_neither_yes_nor_no_is_refused(instance, scores, lake):
    result = materialize(instance, scores(), tags={"gristmill/force_rerun": "perhaps"}, raises=False)
    assert "tag gristmill/force_rerun: 'perhaps' is neither yes nor no" in the_failure(result)
    assert not calls(lake)


def test_without_partitions_an_asset_is_one_job(instance, scores, lake):
    asset = scores(
        partitions_def=None,
        input_location=f"{lake}/orders",
        output_spec={"location": f"{lake}/all"},
    )
    assert dg.materialize([asset], instance=instance, resources=RESOURCES).success
    (event,) = events(instance)
    assert event.partition is None
    assert gristmill.get_job(gristmill.read_manifest(lake / "all").job).request.key == "scores"


def test_multi_partitions_name_their_places(instance, scores, lake):
    both = dg.MultiPartitionsDefinition({"region": dg.StaticPartitionsDefinition(["eu", "us"]), "day": DAYS})
    asset = scores(
        partitions_def=both,
        input_location=f"{lake}/orders/{{start:%Y-%m-%d}}",
        output_spec={"location": f"{lake}/by/{{region}}/{{day}}"},
    )
    key = dg.MultiPartitionKey({"region": "us", "day": "2026-01-03"})
    assert materialize(instance, asset, partition=key).success
    assert gristmill.read_manifest(lake / "by/us/2026-01-03").rows == 10
    (event,) = events(instance)
    assert event.partition == "2026-01-03|us"


def test_a_run_of_several_partitions_has_a_job_for_each_and_records_each_once(instance, scores, lake):
    assert backfill(instance, scores(backfill_policy=SINGLE_RUN)).success
    recorded = events(instance)
    assert sorted(event.partition for event in recorded) == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert len({event.metadata["job"].value for event in recorded}) == 3
    assert len({event.tags["dagster/data_version"] for event in recorded}) == 3
    assert [gristmill.read_manifest(lake / "scores" / event.partition).job for event in recorded] == [
        event.metadata["job"].value for event in recorded
    ]


@pytest.mark.parametrize("kind", ["instance", "kept_instance"])
def test_partitions_that_fail_are_named_and_the_others_are_recorded(request, kind, scores, lake):
    instance = request.getfixturevalue(kind)
    shutil.move(lake / "orders/2026-01-02", lake / "late")
    result = backfill(instance, scores(backfill_policy=SINGLE_RUN))
    assert not result.success
    assert "1 partition of 3 failed; the others are recorded" in the_failure(result)
    assert "2026-01-02: the input location" in the_failure(result)
    assert sorted(event.partition for event in events(instance)) == ["2026-01-01", "2026-01-03"]

    shutil.move(lake / "late", lake / "orders/2026-01-02")
    assert backfill(instance, scores(backfill_policy=SINGLE_RUN)).success
    assert set(calls(lake).values()) == {1}
    assert len(calls(lake)) == 30


def test_a_retry_of_the_step_records_no_partition_twice(instance, scores, lake):
    shutil.move(lake / "orders/2026-01-02", lake / "late")
    result = backfill(instance, scores(backfill_policy=SINGLE_RUN, retry_policy=dg.RetryPolicy(max_retries=2)))
    assert not result.success
    assert sum(event.event_type_value == "STEP_RESTARTED" for event in result.all_events) == 2
    assert sorted(event.partition for event in events(instance)) == ["2026-01-01", "2026-01-03"]
    source = dg.AssetKey([*str(lake / "orders").strip("/").split("/")])
    assert len(instance.fetch_observations(source, limit=10).records) == 2


def test_downstream_assets_of_the_same_run_wait_for_all_partitions(instance, scores, lake):
    seen = []

    @dg.asset(deps=["scores"], partitions_def=DAYS, backfill_policy=SINGLE_RUN)
    def report(context) -> None:
        seen.extend(gristmill.read_manifest(lake / "scores" / key).rows for key in context.partition_keys)

    assert backfill(instance, scores(backfill_policy=SINGLE_RUN), report).success
    assert seen == [10, 10, 10]


def test_a_wrong_request_fails_without_being_tried_again(instance, scores, lake):
    asset = scores(options={"no_such_option": 1}, retry_policy=dg.RetryPolicy(max_retries=3))
    result = materialize(instance, asset, raises=False)
    assert "no_such_option" in the_failure(result)
    assert not [event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]
    assert not (lake / "scores").exists()


def test_a_failed_job_says_why_and_is_resumed_by_the_next_try(instance, scores, lake):
    asset = scores(options={"fail_on": "13"}, retry_policy=dg.RetryPolicy(max_retries=1))
    result = materialize(instance, asset, raises=False)
    assert "FAILED" in the_failure(result)
    assert "13" in the_failure(result)
    assert [event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]
    (job,) = gristmill.list_jobs().collect()
    assert job["status"] == "FAILED"
    assert not events(instance)


def test_too_many_failed_rows_fail_the_step_though_the_output_stands(instance, scores, lake):
    asset = scores(
        options={"fail_on": "13"},
        job_spec={"on_error": "record"},
        fail_on_errors=True,
        retry_policy=dg.RetryPolicy(max_retries=1),
    )
    result = materialize(instance, asset, raises=False)
    assert "1 of 10 rows failed" in the_failure(result)
    assert not [event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]
    assert gristmill.read_manifest(lake / "scores/2026-01-02").errors == 1


def test_a_partition_that_is_recorded_among_others_tells_what_it_was_made_of_like_one_of_a_run_of_its_own(
    instance, scores, lake
):
    both = dg.MultiPartitionsDefinition({"region": dg.StaticPartitionsDefinition(["eu", "us"]), "day": DAYS})

    @dg.asset
    def orders():
        return dg.MaterializeResult(data_version=dg.DataVersion("7"))

    places = {"input_location": f"{lake}/orders/{{day}}", "code_version": "3"}
    asset = scores(partitions_def=both, backfill_policy=SINGLE_RUN, deps=[orders], **places)
    materialize(instance, orders, partition=None)
    assert backfill(instance, orders, asset, first="2026-01-01|eu", last="2026-01-03|us").success
    among = next(event.tags for event in events(instance) if event.partition == "2026-01-02|us")
    materialize(instance, orders, asset, selection=[asset], partition="2026-01-02|us")
    assert among == events(instance)[-1].tags
    assert among["dagster/input_data_version/orders"] == "7"
    assert among["dagster/code_version"] == "3"


def test_the_files_that_are_read_are_upstream_and_observed(instance, scores, lake):
    asset = scores()
    source = dg.AssetKey([*str(lake / "orders").strip("/").split("/")])
    assert set(asset.dependency_keys) == {source}
    materialize(instance, asset)
    (record,) = instance.fetch_observations(source, limit=10).records
    assert record.asset_observation.metadata["source"].value == f"{lake}/orders/2026-01-02"
    assert record.asset_observation.metadata["rows read"].value == 10
    assert record.asset_observation.metadata["read by"].value == KEY


def test_upstream_assets_that_are_named_stand_instead_of_the_files(scores):
    assert set(scores(deps=["orders"]).dependency_keys) == {dg.AssetKey("orders")}


def test_checks_are_made_with_the_output_and_again_on_their_own(instance, scores, lake):
    asset = scores(options={"fail_on": "13"}, job_spec={"on_error": "record"}, checks=OutputChecks(fresh_within="P1D"))
    result = materialize(instance, asset)
    found = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert found == {"complete": True, "error_rate": False, "no_nulls": True, "fresh": True}

    before = calls(lake)
    (lake / "scores/2026-01-02/_SUCCESS").unlink()
    job = dg.define_asset_job("check", dg.AssetSelection.checks_for_assets(asset))
    again = dg.Definitions([asset], jobs=[job], resources=RESOURCES).resolve_job_def("check")
    result = again.execute_in_process(instance=instance)
    found = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert found["complete"] is found["fresh"] is False
    assert len(events(instance)) == 1
    assert calls(lake) == before


def test_checks_alone_are_about_the_partitions_of_their_run(instance, scores):
    asset = scores(backfill_policy=SINGLE_RUN)
    assert backfill(instance, asset).success
    job = dg.define_asset_job("check", dg.AssetSelection.checks_for_assets(asset))
    alone = dg.Definitions([asset], jobs=[job], resources=RESOURCES).resolve_job_def("check")
    tags = {"dagster/asset_partition_range_start": "2026-01-01", "dagster/asset_partition_range_end": "2026-01-02"}
    for given, found in ((tags, ("partitions", 2)), ({"dagster/partition": "2026-01-01"}, ("partition", "2026-01-01"))):
        result = alone.execute_in_process(instance=instance, tags=given)
        (complete,) = (one for one in result.get_asset_check_evaluations() if one.check_name == "complete")
        assert complete.metadata[found[0]].value == found[1]


def test_an_asset_without_partitions_is_one_job_also_in_a_run_with_a_partition(instance, scores, lake):
    @dg.asset(partitions_def=DAYS)
    def orders():
        return None

    location = {"location": f"{lake}/all", "mode": "overwrite"}
    every = {"input_location": f"{lake}/orders/*/*.parquet", "output_spec": location, "deps": [orders]}
    job = dg.Definitions([orders, scores(partitions_def=None, **every)], resources=RESOURCES)
    for day in ("2026-01-01", "2026-01-02"):
        whole = job.resolve_implicit_global_asset_job_def()
        assert whole.execute_in_process(instance=instance, partition_key=day).success
    assert gristmill.get_job(gristmill.read_manifest(lake / "all").job).request.key == "scores"
    assert len({event.metadata["job"].value for event in events(instance)}) == 1


def test_an_asset_may_have_no_checks(instance, scores):
    asset = scores(checks=None)
    assert not list(asset.check_specs)
    assert materialize(instance, asset).success


def test_an_asset_that_is_given_as_input_is_read_where_its_files_stand(instance, scores, lake):
    @dg.asset(partitions_def=DAYS)
    def orders(context):
        return dg.MaterializeResult(metadata={"dagster/uri": f"{lake}/orders/{context.partition_key}"})

    asset = scores(input_location=None, input_asset=orders)
    assert set(asset.dependency_keys) == {dg.AssetKey("orders")}
    assert materialize(instance, orders, asset).success
    request = gristmill.get_job(gristmill.read_manifest(lake / "scores/2026-01-02").job).request
    assert request.source.text == f"{lake}/orders/2026-01-02"


def test_an_input_that_was_materialized_anew_is_another_request(instance, scores, lake):
    @dg.asset(partitions_def=DAYS, code_version="1")
    def orders(context):
        metadata = {"dagster/uri": f"{lake}/orders/{context.partition_key}"}
        return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(versions[0]))

    asset = scores(input_location=None, input_asset=orders)
    versions = ["one"]
    for _ in range(2):
        assert materialize(instance, orders, asset).success
    assert set(calls(lake).values()) == {1}
    pq.write_table(pa.table({"id": [7, 8, 9]}), lake / "orders/2026-01-02/a.parquet")
    versions = ["two"]
    assert materialize(instance, orders, asset).success
    assert gristmill.read_output(lake / "scores/2026-01-02")["echo"].to_pylist() == [7, 8, 9]
    assert len({event.tags["dagster/data_version"] for event in events(instance)}) == 2


def test_an_asset_that_has_a_value_is_loaded_as_a_frame(instance, scores, lake, tmp_path):
    @dg.asset(partitions_def=DAYS)
    def orders(context):
        return pa.table({"id": [context.partition_key]})

    asset = scores(input_location=None, input_asset="orders")
    stored = {"io_manager": dg.FilesystemIOManager(base_dir=str(tmp_path / "values"))}
    assert materialize(instance, orders, asset, resources=stored).success
    assert gristmill.read_output(lake / "scores/2026-01-02")["echo"].to_pylist() == ["2026-01-02"]


def test_several_partitions_of_an_input_are_one_dataset_in_their_order(instance, scores, lake):
    daily = scores()

    def doubled(rows):
        return rows[["id"]].rename(columns={"id": "twice"}) * 2

    weekly = batch_inference_asset(
        "weekly",
        model=doubled,
        input_asset=dg.AssetDep(KEY, partition_mapping=dg.TimeWindowPartitionMapping(start_offset=-2)),
        output_spec={"location": f"{lake}/weekly/{{partition}}"},
        partitions_def=DAYS,
    )
    for day in ("2026-01-01", "2026-01-02", "2026-01-03"):
        materialize(instance, daily, partition=day)
    assert materialize(instance, daily, weekly, partition="2026-01-03", selection=[weekly]).success
    assert gristmill.read_output(lake / "weekly/2026-01-03")["twice"].to_pylist() == [2 * i for i in range(30)]


def test_an_input_of_partitions_that_there_are_not_is_refused_unless_its_mapping_allows_it(instance, lake):
    @dg.asset(partitions_def=DAYS)
    def orders(context):
        return dg.MaterializeResult(metadata={"location": f"{lake}/orders/{context.partition_key}"})

    for day in ("2026-01-01", "2026-01-02", "2026-01-03"):
        materialize(instance, orders, partition=day)
    results = []
    for allow in (False, True):
        mapping = dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=allow)
        weekly = batch_inference_asset(
            "weekly",
            model="echo:",
            input_asset=dg.AssetDep("orders", partition_mapping=mapping),
            output_spec={"location": f"{lake}/weekly/{{partition}}"},
            inference_engine_options={"column": "id"},
            partitions_def=dg.WeeklyPartitionsDefinition("2025-12-28", end_date="2026-01-11"),
        )
        week = {"partition": "2025-12-28", "selection": [weekly], "raises": False}
        results.append(materialize(instance, orders, weekly, **week))
    assert "4 partitions that 'orders' does not have, '2025-12-28' the first" in the_failure(results[0])
    assert results[1].success
    assert gristmill.read_manifest(lake / "weekly/2025-12-28").rows == 30


def test_an_input_that_is_not_there_is_named(instance, scores, lake):
    daily = scores()
    other = batch_inference_asset(
        "other", model="echo:", input_asset=daily, output_spec={"location": f"{lake}/other/{{partition}}"},
        partitions_def=DAYS,
    )  # fmt: skip
    result = materialize(instance, daily, other, selection=[other], raises=False)
    assert "'scores', partition '2026-01-02', was never materialized; materialize it first" in the_failure(result)
    materialize(instance, daily)
    (lake / "scores/2026-01-02/_SUCCESS").unlink()
    result = materialize(instance, daily, other, selection=[other], raises=False)
    assert "holds no _SUCCESS, so no finished output" in the_failure(result)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"partitions_at_once": 0}, "partitions_at_once: give 1 or more"),
        ({"poll_interval": 0}, "poll_interval: give seconds above 0"),
        ({"input_location": None}, "give exactly one of"),
        ({"partitions_at_once": "4"}, "partitions_at_once: give 1 or more"),
        ({"force_rerun": "false"}, "force_rerun: give True or False"),
        ({"checks": True}, "checks: give OutputChecks"),
        ({"deps": "orders"}, "deps: give a list, such as \\['orders'\\]"),
        ({"kinds": "polars"}, "kinds: give a list"),
    ],
)
def test_a_definition_that_cannot_be_right_is_refused(scores, changes, problem):
    with pytest.raises(SpecError, match=problem):
        scores(**changes)


def test_dagsters_own_arguments_reach_the_asset(scores):
    asset = scores(
        group_name="nightly",
        description="Scores of orders.",
        kinds=["sklearn"],
        tags={"team": "shop"},
        owners=["team:shop"],
        metadata={"wiki": "x"},
        code_version="7",
        automation_condition=dg.AutomationCondition.eager(),
        pool="gpu",
        op_tags={"queue": "gpu"},
        backfill_policy=SINGLE_RUN,
    )
    (spec,) = asset.specs
    assert (spec.group_name, spec.description, spec.code_version) == ("nightly", "Scores of orders.", "7")
    assert spec.kinds == {"gristmill", "sklearn"}
    assert spec.tags["team"] == "shop"
    assert list(spec.owners) == ["team:shop"]
    assert spec.metadata["wiki"] == "x"
    assert spec.automation_condition == dg.AutomationCondition.eager()
    assert asset.op.pool == "gpu"
    assert asset.op.tags["queue"] == "gpu"
    assert asset.backfill_policy == SINGLE_RUN


def test_jobs_run_side_by_side_where_that_is_asked(instance, scores, lake):
    asset = scores(backfill_policy=SINGLE_RUN, partitions_at_once=3, options={"delay": 1.0}, compute_pool="local")
    assert backfill(instance, asset).success
    jobs = [gristmill.get_job(event.metadata["job"].value) for event in events(instance)]
    started = [job.state().started for job in jobs]
    ended = [job.state().completed for job in jobs]
    assert max(started) < min(ended)
    assert {job.status for job in jobs} == {JobStatus.DONE}
    assert pq.read_table(lake / "scores/2026-01-03").num_rows == 10
