import pyarrow as pa
import pytest
from tests.model_registry import ModelRegistry
from tests.registry.conftest import ROWS, Doubler

from gristmill.errors import ModelError
from gristmill.registry.registry import Registry
from gristmill.registry.version import ModelVersion
from gristmill.spec.output import OutputSpec


@pytest.fixture
def version(registry: Registry) -> ModelVersion:
    return registry.log_model(
        Doubler(), model_name="m", version_name="v1", options={"default_function": "predict"}, sample_input_data=ROWS
    )


def test_functions_are_shown(version: ModelVersion) -> None:
    assert version.show_functions().collect() == [
        {
            "name": "predict",
            "function_type": "scalar",
            "is_default": True,
            "inputs": "a: double",
            "outputs": "twice: double",
            "params": "times: double = 2.0",
        },
        {
            "name": "count",
            "function_type": "scalar",
            "is_default": False,
            "inputs": "a: double, b: double",
            "outputs": "n: int64",
            "params": None,
        },
    ]


def test_a_version_runs_in_place(version: ModelVersion) -> None:
    found = version.run(ROWS, params={"times": 3})
    assert list(found["twice"]) == [3.0, 6.0, 9.0, 12.0]
    assert list(version.run(ROWS, function_name="count")["n"]) == [4] * 4


def test_a_version_runs_as_a_job_by_what_it_was(
    registry: Registry, version: ModelVersion, model_registry: ModelRegistry
) -> None:
    where = OutputSpec(location=str(model_registry.root / "out"))
    job = version.run_batch(pa.Table.from_pandas(ROWS), compute_pool="inline", output_spec=where)
    job.wait()
    assert (job.status.value, job.message) == ("DONE", "4 rows")


def test_a_version_of_another_registry_runs_from_there(version: ModelVersion, model_registry: ModelRegistry) -> None:
    elsewhere = model_registry.settings.model_copy(update={"registry": None})
    same = Registry(model_registry.address, settings=elsewhere).get_model("m").version("v1")
    assert list(same.run(ROWS)["twice"]) == [2.0, 4.0, 6.0, 8.0]


def test_a_version_that_is_gone_is_not_deleted_twice(registry: Registry, version: ModelVersion) -> None:
    other = registry.log_model(Doubler(), model_name="m")
    other.delete()
    with pytest.raises(ModelError, match="models:/m/2"):
        other.delete()
