"""A request as an asset declares it: what is refused at once, and what a partition makes of it."""

import dagster as dg
import pyarrow as pa
import pytest

from dagster_gristmill.request import BatchRequest
from gristmill import InputSpec, JobSpec, OutputSpec
from gristmill.errors import SpecError

DAILY = dg.DailyPartitionsDefinition("2026-01-01")
NAMES = dg.DynamicPartitionsDefinition(name="names")


def request(**changes):
    fields = {
        "model": "echo:",
        "input_location": "s3://lake/orders/{partition}",
        "output_spec": {"location": "s3://lake/scores/{partition}", "mode": "overwrite"},
    } | changes
    return BatchRequest(**{name: value for name, value in fields.items() if value is not ...})


WRONG = [
    ({"model": " "}, "model: is empty"),
    ({"model": None}, "model: is empty"),
    ({"output_spec": None}, "output_spec: is missing"),
    ({"output_spec": "s3://x"}, "output_spec: give OutputSpec"),
    ({"output_spec": {"location": "x/{partition}", "modus": "overwrite"}}, "output_spec.modus is not a field of it"),
    ({"output_spec": {"location": "x/{partition}", "mode": "over"}}, "mode"),
    ({"input_location": ...}, "give exactly one of input_location, query, input_files; none was given"),
    ({"query": "SELECT 1"}, "input_location and query were given"),
    ({"input_location": 5}, "input_location: give one text that is not empty .given: 5"),
    ({"input_location": ..., "query": " "}, "query: give one text"),
    ({"input_asset": dg.AssetKey("orders")}, "input_location and input_asset were given"),
    (
        {"input_location": "s3://lake/{partiton}"},
        "input_location: .*has the field {partiton}.*{end}, {partition}, {start}",
    ),
    ({"input_location": "s3://lake/{partition:%Y}"}, "gives {partition} a form, which only moments take"),
    ({"output_spec": {"location": "x/{region}"}}, "output_spec.location: .*{region}, which nothing fills"),
    ({"output_spec": {"location": "s3://lake/scores"}}, "is the same for several partitions"),
    ({"job_spec": {"job_name": "nightly"}}, "job_spec.job_name: one name for the jobs of all partitions"),
    ({"job_spec": {"replica": 2}}, "job_spec.replica is not a field of it"),
    ({"job_spec": {"replicas": 0}}, "replicas"),
    ({"input_format": "xml"}, "input_format: 'xml' is not known; choose one of: parquet, csv, jsonl, arrow"),
    ({"inference_engine_options": {"api_key": "x"}}, "inference_engine_options.api_key: a secret must not stand"),
    ({"inference_engine_options": {"engine_args_override": ["--hf-token=x"]}}, "--hf-token holds a secret"),
    ({"inference_engine_options": "vllm"}, "inference_engine_options: must be a dict"),
    ({"input_spec": {"params": {"token": "x"}}}, "input_spec.params.token: a secret must not stand"),
    ({"input_spec": InputSpec(params={"token": "x"})}, "input_spec.params.token: a secret must not stand"),
    ({"input_spec": "x"}, "input_spec: give InputSpec"),
    ({"fail_on_errors": "lots"}, "fail_on_errors: 'lots' is no limit"),
    ({"input_location": ..., "input_files": {"place": "x"}}, "input_files.place is not a field of it"),
    ({"input_location": ..., "input_files": {"location": "x/{day}"}}, "input_files: .*{day}, which nothing fills"),
]


@pytest.mark.parametrize(("changes", "problem"), WRONG)
def test_what_cannot_be_right_is_refused_where_it_is_defined(changes, problem):
    with pytest.raises(SpecError, match=problem):
        request(**changes).check(DAILY)


def test_without_partitions_there_are_no_fields():
    with pytest.raises(SpecError, match="there are none, since there are no partitions"):
        request().check(None)


def test_a_base_location_needs_no_field_for_each_job_has_a_name_of_its_own():
    request(output_spec={"base_location": "s3://lake/scores"}).check(DAILY)


def arguments(settings, partition="2026-01-02", partitions_def=DAILY, **changes):
    return request(**changes).arguments(partition, partitions_def, settings)


def test_a_partition_fills_its_locations_and_leaves_the_rest(settings):
    made = arguments(
        settings,
        input_location="s3://lake/{start:%Y/%m}/orders-{partition}",
        input_spec={"params": {"prompt": "say {partition}"}},
        job_spec=JobSpec(replicas=2, block=True),
    )
    assert made["input_location"] == "s3://lake/2026/01/orders-2026-01-02"
    assert made["output_spec"] == OutputSpec(location="s3://lake/scores/2026-01-02", mode="overwrite")
    assert made["input_spec"] == InputSpec(params={"prompt": "say {partition}"})
    assert made["job_spec"] == JobSpec(replicas=2)  # the step waits for the job, so the call does not block


def test_a_partition_is_one_segment_of_a_path(settings):
    made = arguments(settings, "../eu/x", NAMES)
    assert made["output_spec"].location == "s3://lake/scores/%2E.%2Feu%2Fx"
    assert made["input_location"] == "s3://lake/orders/%2E.%2Feu%2Fx"


def test_letters_of_any_script_stand_in_paths_as_they_are_and_what_no_folder_can_be_named_is_refused(settings):
    assert arguments(settings, "münchen 東京", NAMES)["input_location"] == "s3://lake/orders/münchen 東京"
    with pytest.raises(SpecError, match="makes a name of 300 bytes in a path, and 255 is the most"):
        arguments(settings, "x" * 300, NAMES)


def test_a_partition_in_a_query_is_a_text_of_sql(settings):
    query = "SELECT {'a': 1} AS s FROM 'lake/*.parquet' WHERE name = '{partition}'"
    made = arguments(settings, "O'Hara", NAMES, input_location=..., query=query)
    assert made["query"] == "SELECT {'a': 1} AS s FROM 'lake/*.parquet' WHERE name = 'O''Hara'"


def test_files_are_listed_for_each_partition(settings, tmp_path):
    for day in ("2026-01-01", "2026-01-02"):
        (tmp_path / day).mkdir()
        (tmp_path / day / f"{day}.png").write_bytes(b"x")
        (tmp_path / day / "notes.txt").write_bytes(b"x")
    listing = {"location": f"{tmp_path}/{{partition}}", "pattern": r".*\.png", "column_name": "image"}
    rows = arguments(settings, input_location=..., input_files=listing)["X"].collect()
    assert [row["image"] for row in rows] == [f"{tmp_path}/2026-01-02/2026-01-02.png"]
    assert len(arguments(settings, input_location=..., input_files=f"{tmp_path}/{{partition}}")["X"].collect()) == 2


def test_a_frame_may_be_a_function_of_the_partition(settings):
    made = arguments(settings, input_location=..., frame=lambda day: pa.table({"day": [day]}))
    assert made["X"].to_pylist() == [{"day": "2026-01-02"}]


def test_the_version_of_the_code_tells_a_changed_request():
    versions = {
        request(**changes).code_version
        for changes in (
            {},
            {"model": "echo:row"},
            {"input_location": "s3://other/{partition}"},
            {"input_spec": {"params": {"vat": 0.2}}},
            {"inference_engine_options": {"column": "id"}},
            {"input_location": ..., "input_asset": dg.AssetKey("orders")},
        )
    }
    assert len(versions) == 6
    assert request().code_version == request(compute_pool="gpu", job_spec={"replicas": 4}).code_version
    assert request(output_spec=OutputSpec(location="x/{partition}")).code_version == (
        request(output_spec={"location": "x/{partition}"}).code_version
    )
    assert request(model=object()).code_version is None
