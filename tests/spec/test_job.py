import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.errors import SpecError
from gristmill.spec.enums import OnError
from gristmill.spec.job import InferenceSpec, JobSpec, ResourcesSpec, parse_memory


def test_the_defaults_are_one_replica_with_one_worker_that_does_not_block() -> None:
    spec = JobSpec()
    assert (spec.replicas, spec.num_workers, spec.block, spec.max_batch_rows) == (1, 1, False, None)
    assert (spec.cpu_requests, spec.memory_requests, spec.gpu_requests) == (None, None, None)
    assert spec.on_error is OnError.FAIL


@pytest.mark.parametrize(
    ("field", "written", "read"),
    [
        ("replicas", "3", 3),
        ("num_workers", 2.0, 2),
        ("max_batch_rows", "2048", 2048),
        ("cpu_requests", "2", 2.0),
        ("cpu_requests", 4, 4.0),
        ("cpu_requests", "500m", 0.5),
        ("cpu_requests", 0, 0.0),
        ("gpu_requests", "1", 1.0),
        ("gpu_requests", 0.25, 0.25),
        ("memory_requests", "8GiB", 8 * 1024**3),
        ("memory_requests", 1024, 1024),
        ("on_error", "RECORD", OnError.RECORD),
        ("max_errors", 0, 0),
    ],
)
def test_numbers_and_text_are_both_accepted(field: str, written: object, read: object) -> None:
    assert getattr(JobSpec(**{field: written}), field) == read


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("replicas", 0),
        ("replicas", "two"),
        ("replicas", True),
        ("replicas", 1.5),
        ("num_workers", -1),
        ("max_batch_rows", 0),
        ("cpu_requests", -1),
        ("cpu_requests", "many"),
        ("gpu_requests", -1),
        ("memory_requests", "8 parsecs"),
        ("memory_requests", 0),
        ("memory_requests", True),
        ("on_error", "ignore"),
        ("max_errors", -1),
        ("max_error_rate", 1.5),
        ("job_name", "no spaces"),
        ("job_name", ""),
        ("job_name", "../up"),
        ("job_name_prefix", "a" * 129),
    ],
)
def test_a_wrong_value_is_refused_by_field_and_value(field: str, value: object) -> None:
    with pytest.raises(SpecError) as caught:
        JobSpec(**{field: value})
    assert f"JobSpec.{field}" in str(caught.value)
    assert repr(value) in str(caught.value)


def test_a_name_and_a_prefix_exclude_each_other() -> None:
    with pytest.raises(SpecError, match="job_name or job_name_prefix, not both"):
        JobSpec(job_name="nightly", job_name_prefix="night")


@pytest.mark.parametrize("field", ["image_repo", "force_rebuild", "warehouse"])
def test_fields_of_the_vendors_service_are_refused(field: str) -> None:
    with pytest.raises(SpecError, match=field):
        JobSpec(**{field: "x"})


def test_the_halves_of_a_job_spec_stand_alone_too() -> None:
    assert ResourcesSpec(replicas="2", gpu_requests="1").replicas == 2
    assert InferenceSpec(function_name="encode", num_workers="2").num_workers == 2
    with pytest.raises(SpecError, match="function_name"):
        ResourcesSpec(function_name="encode")


@given(st.integers(1, 9_999), st.sampled_from(["", "B", "KB", "K", "KiB", "Mi", "MiB", "GB", "GiB", "TiB"]))
def test_memory_is_read_in_any_unit_and_case(amount: int, unit: str) -> None:
    power = "kmgt".find(unit[:1].lower()) + 1 if unit not in ("", "B") else 0
    expected = amount * (1024 if "i" in unit else 1000) ** power
    assert parse_memory(f"{amount}{unit}") == expected
    assert parse_memory(f" {amount} {unit.lower()} ") == expected
