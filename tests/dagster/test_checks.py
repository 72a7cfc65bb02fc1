"""Asset checks: what they ask, what they find over one partition and over several, and whom they hold back."""

from datetime import timedelta

import dagster as dg
import pyarrow as pa
import pytest

import gristmill
from dagster_gristmill import GristmillResource, OutputChecks, batch_inference_asset
from dagster_gristmill.checks import Examined, check_results, check_specs

KEY = dg.AssetKey(["shop", "scores"])
DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-04")


def run(settings, location, *, rows=4, **options):
    return gristmill.run_batch(
        "echo:",
        pa.table({"x": range(rows)}),
        compute_pool="inline",
        output_spec=gristmill.OutputSpec(location=str(location), mode="overwrite"),
        job_spec=gristmill.JobSpec(block=True, on_error="record"),
        inference_engine_options={"column": "x", **options},
        settings=settings,
    )


def results(settings, checks, *outputs, names=None):
    found = check_results(checks, asset_key=KEY, outputs=outputs, settings=settings, names=names)
    return {one.check_name: one for one in found}


def plain(result):
    return {name: value.value for name, value in result.metadata.items() if name not in ("by partition", "bytes")}


def records(result):
    return [record.data for record in result.metadata["by partition"].records]


def test_a_check_for_each_thing_that_is_asked():
    specs = check_specs(KEY, OutputChecks(max_error_rate=0.05, no_nulls=["label"], fresh_within="PT26H", blocking=True))
    assert [(spec.name, spec.asset_key, spec.blocking) for spec in specs] == [
        ("complete", KEY, True),
        ("error_rate", KEY, True),
        ("no_nulls", KEY, True),
        ("fresh", KEY, True),
    ]
    assert [spec.description for spec in specs[1:]] == [
        "At most 5 % of the rows failed.",
        "No null in label, among the rows that did not fail.",
        "Finished no longer than 26 h 00 min ago, by the sentinel.",
    ]
    assert check_specs("scores", OutputChecks())[1].description == "No row failed."
    assert not any(spec.blocking for spec in check_specs("scores"))


def test_a_result_of_one_output_has_numbers_to_plot(settings, tmp_path):
    job = run(settings, tmp_path / "out", fail_on=2)
    checks = OutputChecks(fresh_within=timedelta(days=1))
    found = results(settings, checks, Examined("2026-01-01", job.location, job.id))
    assert {name: one.passed for name, one in found.items()} == {
        "complete": True,
        "error_rate": False,
        "no_nulls": True,
        "fresh": True,
    }
    rate = found["error_rate"]
    assert rate.description == "2026-01-01: 1 of 4 rows failed, a rate of 0.25, more than 0"
    assert rate.severity is dg.AssetCheckSeverity.ERROR
    assert plain(rate) == {
        "location": job.location,
        "partition": "2026-01-01",
        "rows": 4,
        "errors": 1,
        "error_rate": 0.25,
    }
    assert plain(found["complete"])["rows_in"] == 4
    assert plain(found["fresh"])["age_hours"] >= 0.0


def test_several_outputs_pass_together_and_each_is_told(settings, tmp_path):
    jobs = {day: run(settings, tmp_path / day, rows=10 * n) for n, day in enumerate(("a", "b"), 1)}
    found = results(settings, OutputChecks(), *(Examined(day, job.location, job.id) for day, job in jobs.items()))
    assert [one.passed for one in found.values()] == [True] * 3
    complete = found["complete"]
    assert complete.description == "2 partitions passed"
    assert plain(complete) == {"rows": 30, "rows_in": 30, "files": 2, "partitions": 2, "failed": 0}
    assert [(one["partition"], one["passed"], one["rows"]) for one in records(complete)] == [
        ("a", True, 10),
        ("b", True, 20),
    ]


def test_one_output_that_fails_fails_the_check_and_is_told_first(settings, tmp_path):
    jobs = {day: run(settings, tmp_path / day, **({"fail_on": 1} if day == "b" else {})) for day in ("a", "b", "c")}
    (tmp_path / "c" / "_SUCCESS").unlink()
    found = results(settings, OutputChecks(), *(Examined(day, job.location, job.id) for day, job in jobs.items()))
    rate = found["error_rate"]
    assert not rate.passed
    assert rate.description.startswith("2 of 3 partitions failed: b: 1 of 4 rows failed")
    assert "; c: there is no _SUCCESS" in rate.description
    assert [one["partition"] for one in records(rate)] == ["b", "c", "a"]
    assert plain(rate) == {"partitions": 3, "failed": 2}  # sums over outputs of which one is not known say nothing
    assert plain(found["no_nulls"])["failed"] == 1


def test_rates_of_several_outputs_are_that_of_all_rows(settings, tmp_path):
    few, many = run(settings, tmp_path / "few", fail_on=1), run(settings, tmp_path / "many", rows=16)
    found = results(
        settings,
        OutputChecks(max_error_rate=0.5),
        Examined("few", few.location, few.id),
        Examined("many", many.location, many.id),
    )
    assert plain(found["error_rate"])["error_rate"] == 1 / 20


def test_only_the_selected_checks_are_made(settings, tmp_path):
    job = run(settings, tmp_path / "out")
    assert list(results(settings, OutputChecks(), Examined(None, job.location), names=["no_nulls"])) == ["no_nulls"]


def test_nothing_to_examine_fails_every_check(settings):
    found = results(settings, OutputChecks())
    assert [one.passed for one in found.values()] == [False] * 3
    assert "nothing was materialized" in found["complete"].description


def test_an_output_in_a_bucket_is_examined(s3):
    job = run(s3.settings, f"{s3.root}/out")
    found = results(s3.settings, OutputChecks(), Examined(None, "@db.public.bucket/out", job.id))
    assert [one.passed for one in found.values()] == [True] * 3


def scores(lake, **changes):
    fields = {
        "model": "echo:",
        "input_location": f"{lake}/orders/{{partition}}",
        "output_spec": {"location": f"{lake}/scores/{{partition}}", "mode": "overwrite"},
        "job_spec": {"on_error": "record"},
        "inference_engine_options": {"column": "id", "fail_on": 15},
        "partitions_def": DAYS,
        "compute_pool": "inline",
        "poll_interval": 0.2,
    } | changes
    return batch_inference_asset(KEY, **fields)


class Sums(gristmill.CustomModel):
    @gristmill.partitioned_api(inputs={"x": "int64"}, outputs={"sum": "int64"})
    def sum(self, rows: pa.RecordBatch):
        if 3 in rows["x"].to_pylist():
            raise ValueError("not 3")
        return {"sum": [sum(rows["x"].to_pylist())] * 5}


def test_a_rate_over_several_outputs_of_partitions_is_of_their_partitions(settings, tmp_path):
    outputs = []
    for name, numbers in {"a": [1, 2, 3], "b": [4, 5]}.items():
        gristmill.run_batch(
            Sums(),
            pa.table({"key": numbers, "x": numbers}),
            compute_pool="inline",
            input_spec=gristmill.InputSpec(partition_column="key"),
            output_spec=gristmill.OutputSpec(location=str(tmp_path / name)),
            job_spec=gristmill.JobSpec(block=True, on_error="record"),
            settings=settings,
        )
        outputs.append(Examined(name, str(tmp_path / name)))
    found = results(settings, OutputChecks(max_error_rate=0.3), *outputs)["error_rate"]
    assert not found.passed
    assert found.description.startswith("1 of 2 partitions failed: a: 1 of 3 partitions failed, a rate of 0.3333")
    assert plain(found) == {"partitions": 2, "failed": 1, "rows": 21, "tried": 5, "errors": 1, "error_rate": 0.2}


def materialize(instance, *assets, **given):
    return dg.materialize(assets, instance=instance, resources={"gristmill": GristmillResource()}, **given)


@pytest.mark.parametrize(("blocking", "goes_on"), [(False, True), (True, False)])
def test_a_failed_check_that_blocks_holds_back_what_is_downstream(lake, instance, blocking, goes_on):
    asset = scores(lake, checks=OutputChecks(blocking=blocking))

    @dg.asset(deps=[asset], partitions_def=DAYS)
    def report(): ...

    done = materialize(instance, asset, report, partition_key="2026-01-02", raise_on_error=False)
    found = {one.check_name: one for one in done.get_asset_check_evaluations()}
    assert {name: one.passed for name, one in found.items()} == {
        "complete": True,
        "error_rate": False,
        "no_nulls": True,
    }
    assert found["error_rate"].description.startswith("2026-01-02: 1 of 10 rows failed")
    assert bool(done.asset_materializations_for_node("report")) is goes_on


def test_a_check_alone_examines_what_stands(lake, instance):
    asset = scores(lake)
    assert materialize(instance, asset, partition_key="2026-01-01").success
    for file in (lake / "scores" / "2026-01-01").glob("*.parquet"):
        file.unlink()
    alone = dg.AssetSelection.checks(dg.AssetCheckKey(KEY, "complete"))
    done = materialize(instance, asset, selection=alone)  # Dagster gives checks alone no partition
    (found,) = done.get_asset_check_evaluations()
    assert (found.check_name, found.passed) == ("complete", False)
    assert "is missing, and the manifest names it" in found.description
    assert not done.asset_materializations_for_node("shop__scores")


def test_a_run_of_several_partitions_has_one_result_for_each_check(lake, instance):
    asset = scores(lake, backfill_policy=dg.BackfillPolicy.single_run())
    tags = {"dagster/asset_partition_range_start": "2026-01-01", "dagster/asset_partition_range_end": "2026-01-03"}
    done = materialize(instance, asset, tags=tags)
    found = {one.check_name: one for one in done.get_asset_check_evaluations()}
    assert found["complete"].metadata["rows"].value == 30
    assert found["error_rate"].description.startswith("1 of 3 partitions failed: 2026-01-02: 1 of 10 rows failed")
