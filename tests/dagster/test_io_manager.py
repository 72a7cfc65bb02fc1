"""Finished outputs as inputs of downstream assets: in every form, of one and of several partitions, or refused."""

from typing import Any

import dagster as dg
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

import gristmill
from dagster_gristmill import GristmillResource, batch_inference_asset
from dagster_gristmill.io_manager import GristmillIOManager
from gristmill.errors import OutputError, SchemaError, SpecError

DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-04")
KEYS = ("2026-01-01", "2026-01-02", "2026-01-03")
FORMS = (pa.Table, ds.Dataset, pd.DataFrame, pl.DataFrame, pl.LazyFrame, duckdb.DuckDBPyRelation)


@pytest.fixture
def events():
    """An instance in memory: what is loaded directly needs its events alone."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def run(settings, location, rows=range(4), *, model="echo:", column="id", **options):
    """The finished output of the rows, which echo their `id`."""
    return gristmill.run_batch(
        model,
        pa.table({column: rows}),
        compute_pool="inline",
        output_spec=gristmill.OutputSpec(location=str(location), mode="overwrite"),
        job_spec=gristmill.JobSpec(block=True, on_error="record"),
        inference_engine_options={"output_type": "int64", "column": "id", **options} if model == "echo:" else options,
        settings=settings,
    )


def reported(instance, job, key="scores", partition=None, **metadata):
    """A materialization as a self-made asset reports it."""
    told = {"location": job.location, "job": job.id, **metadata}
    instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=partition, metadata=told))
    return job


def outputs(resource=None):
    return GristmillIOManager(gristmill=resource or GristmillResource())


def definitions(partitions_def=None, manager=None):
    spec = dg.AssetSpec("scores", partitions_def=partitions_def).with_io_manager_key("outputs")
    return dg.Definitions([spec], resources={"outputs": manager or outputs()})


def value(instance, kind=None, *, partitions_def=None, manager=None, metadata=None, **given):
    """The asset `scores` as the type."""
    with definitions(partitions_def, manager).get_asset_value_loader(instance) as loader:
        return loader.load_asset_value("scores", python_type=kind, input_definition_metadata=metadata, **given)


def table(rows):
    """What was loaded, as a table."""
    if isinstance(rows, duckdb.DuckDBPyRelation | pl.DataFrame):
        return pa.table(rows)
    if isinstance(rows, pd.DataFrame):
        return pa.Table.from_pandas(rows)
    if isinstance(rows, pl.LazyFrame):
        return rows.collect().to_arrow()
    return rows.to_table() if isinstance(rows, ds.Dataset) else rows


def ids(rows):
    return table(rows).column("id").to_pylist()


@pytest.mark.parametrize("kind", FORMS)
def test_each_form_has_all_rows_in_order(events, settings, tmp_path, kind):
    reported(events, run(settings, tmp_path / "out", range(1000)))
    rows = value(events, kind)
    assert isinstance(rows, kind)
    assert ids(rows) == list(range(1000))
    assert set(table(rows).column_names) == {"id", "echo", "_error"}


@pytest.mark.parametrize("kind", [None, Any])
def test_an_input_that_says_nothing_is_a_table(events, settings, tmp_path, kind):
    reported(events, run(settings, tmp_path / "out"))
    assert isinstance(value(events, kind), pa.Table)


@pytest.mark.parametrize("kind", FORMS)
def test_columns_are_chosen_by_the_inputs_metadata(events, settings, tmp_path, kind):
    reported(events, run(settings, tmp_path / "out"))
    rows = table(value(events, kind, metadata={"columns": ["echo", "id"]}))
    assert rows.column_names == ["echo", "id"]
    assert rows.column("echo").to_pylist() == [0, 1, 2, 3]
    with pytest.raises(SchemaError, match="has no 'label'; it has id, echo"):
        value(events, kind, metadata={"columns": ["label"]})


@pytest.mark.parametrize("kind", FORMS)
def test_several_partitions_are_one_in_their_order_or_a_dict(events, settings, tmp_path, kind):
    for number, key in reversed(list(enumerate(KEYS))):
        reported(events, run(settings, tmp_path / key, range(3 * number, 3 * number + 3)), partition=key)
    days = dg.PartitionKeyRange(KEYS[0], KEYS[2])
    together = value(events, kind, partitions_def=DAYS, partition_key_range=days)
    assert isinstance(together, kind)
    assert ids(together) == list(range(9))
    apart = value(events, dict[str, kind], partitions_def=DAYS, partition_key_range=days)
    assert list(apart) == list(KEYS)
    assert [ids(rows) for rows in apart.values()] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert ids(value(events, kind, partitions_def=DAYS, partition_key=KEYS[1])) == [3, 4, 5]


@pytest.mark.parametrize("kind", FORMS)
def test_a_column_that_some_partitions_lack_is_null_there(events, settings, tmp_path, kind):
    reported(events, run(settings, tmp_path / "a", range(2)), partition=KEYS[0])
    other = gristmill.run_batch(
        "echo:",
        pa.table({"id": [2], "extra": [7]}),
        compute_pool="inline",
        output_spec=gristmill.OutputSpec(location=str(tmp_path / "c"), mode="overwrite"),
        job_spec=gristmill.JobSpec(block=True, on_error="record"),
        inference_engine_options={"output_type": "int64", "column": "id"},
        settings=settings,
    )
    reported(events, other, partition=KEYS[1])
    days = dg.PartitionKeyRange(KEYS[0], KEYS[1])
    rows = table(value(events, kind, partitions_def=DAYS, partition_key_range=days))
    assert pa.Table.from_pandas(rows.to_pandas()).column("extra").is_null().to_pylist() == [True, True, False]


@pytest.mark.parametrize("kind", FORMS)
def test_partitions_of_other_types_do_not_go_together_but_apart(events, settings, tmp_path, kind):
    reported(events, run(settings, tmp_path / "a"), partition=KEYS[0])
    reported(events, run(settings, tmp_path / "b", output_type="string"), partition=KEYS[1])
    days = dg.PartitionKeyRange(KEYS[0], KEYS[1])
    with pytest.raises(SchemaError, match=f"'echo' is int64 in partition '{KEYS[0]}' and string in '{KEYS[1]}'"):
        value(events, kind, partitions_def=DAYS, partition_key_range=days)
    ids_alone = {"columns": ["id"]}
    assert len(ids(value(events, kind, partitions_def=DAYS, partition_key_range=days, metadata=ids_alone))) == 8
    apart = value(events, dict[str, kind], partitions_def=DAYS, partition_key_range=days)
    assert table(apart[KEYS[1]]).column("echo").to_pylist() == ["0", "1", "2", "3"]


def chat(settings, location):
    return run(
        settings,
        location,
        [[{"role": "user", "content": t}] for t in ("hi", "yo")],
        model="echo:chat",
        column="messages",
    )


@pytest.mark.parametrize("kind", [pa.Table, pd.DataFrame, pl.DataFrame])
def test_a_chat_gives_its_texts(events, settings, tmp_path, kind):
    reported(events, chat(settings, tmp_path / "out"))
    rows = table(value(events, kind, metadata={"text": True, "columns": ["response"]}))
    assert rows.column_names == ["response"]
    assert rows.column("response").to_pylist() == ["hi", "yo"]


@pytest.mark.parametrize("kind", [ds.Dataset, pl.LazyFrame, duckdb.DuckDBPyRelation])
def test_texts_are_not_to_be_had_in_pieces(events, settings, tmp_path, kind):
    reported(events, chat(settings, tmp_path / "out"))
    with pytest.raises(SpecError, match=r"text: .* reads in pieces; annotate the input with pyarrow\.Table"):
        value(events, kind, metadata={"text": True})


@pytest.mark.parametrize("kind", FORMS)
def test_an_output_in_a_bucket_is_loaded(events, s3, kind):
    resource = GristmillResource(storage_options=dict(s3.settings.storage_options))
    reported(events, run(s3.settings, f"{s3.root}/out", range(100)))
    rows = value(events, kind, manager=outputs(resource), metadata={"columns": ["id"]})
    assert ids(rows) == list(range(100))


@pytest.mark.parametrize("kind", FORMS)
def test_an_output_of_no_rows_has_its_columns(events, settings, tmp_path, kind):
    reported(events, run(settings, tmp_path / "out", pa.array([], pa.int64())))
    assert ids(value(events, kind)) == []


def test_the_latest_materialization_counts(events, settings, tmp_path):
    reported(events, run(settings, tmp_path / "old"))
    reported(events, run(settings, tmp_path / "new", range(2)))
    assert ids(value(events)) == [0, 1]


def test_a_location_alone_is_enough(events, settings, tmp_path):
    run(settings, tmp_path / "out")
    events.report_runless_asset_event(dg.AssetMaterialization("scores", metadata={"location": str(tmp_path / "out")}))
    assert ids(value(events)) == [0, 1, 2, 3]


def test_definitions_load_a_value_without_a_run(events, settings, tmp_path):
    reported(events, run(settings, tmp_path / "out"), partition=KEYS[0])
    rows = definitions(DAYS).load_asset_value(
        "scores", python_type=pd.DataFrame, partition_key=KEYS[0], instance=events
    )
    assert rows["id"].to_list() == [0, 1, 2, 3]


def test_what_was_never_materialized_is_refused(events, settings, tmp_path):
    with pytest.raises(OutputError, match=r"asset 'scores' was never materialized.*materialize it first"):
        value(events, pa.Table)
    reported(events, run(settings, tmp_path / "out"), partition=KEYS[0])
    days = dg.PartitionKeyRange(KEYS[0], KEYS[2])
    with pytest.raises(OutputError, match=rf"partition '{KEYS[1]}', was never .*\(2 of 3 partitions were not\)"):
        value(events, pa.Table, partitions_def=DAYS, partition_key_range=days)


def test_missing_partitions_may_be_left_out_but_not_all(events, settings, tmp_path):
    given = {
        "partitions_def": DAYS,
        "partition_key_range": dg.PartitionKeyRange(KEYS[0], KEYS[2]),
        "metadata": {"allow_missing_partitions": True},
    }
    with pytest.raises(OutputError, match="never materialized"):
        value(events, dict[str, pa.Table], **given)
    reported(events, run(settings, tmp_path / "out"), partition=KEYS[1])
    assert list(value(events, dict[str, pa.Table], **given)) == [KEYS[1]]


def test_an_output_without_a_sentinel_is_refused(events, settings, tmp_path):
    reported(events, run(settings, tmp_path / "out"))
    (tmp_path / "out" / "_SUCCESS").unlink()
    with pytest.raises(OutputError, match=r"asset 'scores' has no finished output: .*out' holds no _SUCCESS.*again"):
        value(events, pa.Table)


def test_another_tools_sentinel_is_refused(events, settings, tmp_path):
    reported(events, run(settings, tmp_path / "out"))
    (tmp_path / "out" / "_SUCCESS").write_bytes(b"")
    with pytest.raises(OutputError, match=r"_SUCCESS' is empty: another tool wrote it"):
        value(events)


def test_the_output_of_a_job_that_replaced_it_is_refused(events, settings, tmp_path):
    mine = reported(events, run(settings, tmp_path / "out"))
    other = run(settings, tmp_path / "out", range(2))
    with pytest.raises(OutputError, match=f"'{other.id}', which replaced that of job '{mine.id}'"):
        value(events)


@pytest.mark.parametrize("damage", ["removed", "cut short"])
def test_a_damaged_output_is_refused(events, settings, tmp_path, damage):
    job = reported(events, run(settings, tmp_path / "out"), partition=KEYS[0])
    file = tmp_path / "out" / job.manifest().files[0].path
    if damage == "removed":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:50])
    told = "is missing" if damage == "removed" else "has 50 bytes"
    with pytest.raises(OutputError, match=rf"partition '{KEYS[0]}',: .*{file.name}' {told}.*gristmill/force_rerun"):
        value(events, ds.Dataset, partitions_def=DAYS, partition_key=KEYS[0])


def test_a_materialization_that_does_not_say_where_is_refused(events, settings):
    events.report_runless_asset_event(dg.AssetMaterialization("scores"))
    with pytest.raises(OutputError, match="does not say where its output stands"):
        value(events)


@pytest.mark.parametrize(
    ("kind", "metadata", "told"),
    [
        (set, {}, "cannot be loaded as set; annotate the input with pyarrow.Table, pyarrow.Dataset"),
        (dict[str, int], {}, r"cannot be loaded as .*int"),
        (pa.Table, {"columns": "id"}, "columns: give a list"),
        (pa.Table, {"columns": []}, "columns: give a list"),
        (pa.Table, {"columns": ["id", "id"]}, "columns: give a list"),
        (pa.Table, {"text": "yes"}, "text: give True or False"),
        (dict[str, pa.Table], {}, "has no partitions to load by key"),
    ],
)
def test_what_cannot_be_asked_for_is_said(events, settings, tmp_path, kind, metadata, told):
    reported(events, run(settings, tmp_path / "out"))
    with pytest.raises(SpecError, match=told):
        value(events, kind, metadata=metadata)


def test_a_partitioned_asset_is_not_loaded_without_its_partition(events, settings, tmp_path):
    reported(events, run(settings, tmp_path / "out"), partition=KEYS[0])
    with pytest.raises(SpecError, match="has partitions; say which"):
        value(events, partitions_def=DAYS)


def materialize(instance, *assets, **given):
    resources = {"gristmill": GristmillResource(), "outputs": outputs(), **given.pop("resources", {})}
    return dg.materialize(assets, instance=instance, resources=resources, **given)


def scores(lake, **changes):
    fields = {
        "model": "echo:",
        "input_location": f"{lake}/orders/{{partition}}",
        "output_spec": {"location": f"{lake}/scores/{{partition}}", "mode": "overwrite"},
        "inference_engine_options": {"column": "id"},
        "partitions_def": DAYS,
        "compute_pool": "inline",
        "poll_interval": 0.2,
    } | changes
    return batch_inference_asset("scores", **fields)


def test_an_asset_of_the_factory_is_loaded_by_its_own_io_manager(lake, instance):
    asset = scores(lake, io_manager_key="outputs")

    @dg.asset(partitions_def=DAYS)
    def total(scores: pl.LazyFrame) -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"total": scores.select(pl.col("id").sum()).collect().item()})

    done = materialize(instance, asset, total, partition_key=KEYS[1])
    assert done.asset_materializations_for_node("total")[0].metadata["total"].value == sum(range(10, 20))


def test_all_partitions_of_the_factory_go_into_an_asset_that_has_none(lake, instance):
    asset = scores(lake, backfill_policy=dg.BackfillPolicy.single_run())

    @dg.asset(ins={"scores": dg.AssetIn(input_manager_key="outputs", metadata={"columns": ["id"]})})
    def total(scores: dict[str, pa.Table]) -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={key: sum(ids(rows)) for key, rows in scores.items()})

    tags = {"dagster/asset_partition_range_start": KEYS[0], "dagster/asset_partition_range_end": KEYS[2]}
    assert materialize(instance, asset, tags=tags).success
    done = materialize(instance, asset, total, selection=[total])
    (event,) = done.asset_materializations_for_node("total")
    assert {key: event.metadata[key].value for key in KEYS} == {KEYS[0]: 45, KEYS[1]: 145, KEYS[2]: 245}


def test_multi_partitions_map_to_those_of_one_dimension(instance, settings, tmp_path):
    both = dg.MultiPartitionsDefinition({"day": DAYS, "region": dg.StaticPartitionsDefinition(["us", "eu"])})
    upstream = dg.AssetSpec("scores", partitions_def=both)
    for number, region in enumerate(("eu", "us")):
        key = dg.MultiPartitionKey({"day": KEYS[0], "region": region})
        reported(instance, run(settings, tmp_path / region, [number]), partition=str(key))

    @dg.asset(ins={"scores": dg.AssetIn(input_manager_key="outputs")}, partitions_def=DAYS)
    def report(scores: dict[str, pa.Table]) -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"keys": list(scores), "ids": [ids(rows)[0] for rows in scores.values()]})

    done = materialize(instance, upstream, report, partition_key=KEYS[0], selection=[report])
    told = done.asset_materializations_for_node("report")[0].metadata
    assert told["keys"].value == [f"{KEYS[0]}|us", f"{KEYS[0]}|eu"]  # as the partitions are defined
    assert told["ids"].value == [1, 0]


def test_a_self_made_asset_that_returns_nothing_may_have_this_io_manager(instance, settings, tmp_path):
    @dg.asset(io_manager_key="outputs")
    def scores() -> dg.MaterializeResult:
        job = run(settings, tmp_path / "out")
        return dg.MaterializeResult(metadata={"location": job.location, "job": job.id})

    @dg.asset
    def count(scores: ds.Dataset) -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"count": scores.count_rows()})

    done = materialize(instance, scores, count)
    assert done.asset_materializations_for_node("count")[0].metadata["count"].value == 4


def test_a_value_is_not_kept_and_the_error_says_what_to_do(instance, settings):
    @dg.asset(io_manager_key="outputs")
    def scores():
        return [1]

    @dg.asset(io_manager_key="outputs")
    def nothing(): ...

    assert materialize(instance, nothing).success
    with pytest.raises(SpecError, match=r"'scores' returns list, and GristmillIOManager writes nothing"):
        materialize(instance, scores)
