"""Values that cannot be right are refused with their field, and secrets without being repeated."""

from typing import Any

import pytest

from gristmill import JobSpec
from gristmill.errors import LocationError, SpecError
from gristmill.storage.location import normalize


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(
            (field, value)
            for field in ("cpu_requests", "gpu_requests")
            for value in (float("inf"), float("nan"), "inf")
        ),
        ("cpu_requests", "infm"),
        ("memory_requests", "1" * 400),
        ("memory_requests", 10**400),
        ("memory_requests", "9" * 30 + "GiB"),
        ("replicas", 10**12),
        ("replicas", True),
        ("num_workers", True),
        ("max_batch_rows", True),
        ("max_errors", True),
        ("max_errors", 1.5),
        ("max_errors", float("inf")),
        ("max_error_rate", True),
        ("max_error_rate", float("nan")),
        ("block", "yes"),
        ("block", 1),
        ("block", None),
    ],
)
def test_a_value_that_cannot_be_right_is_refused_by_its_field(field: str, value: Any) -> None:
    with pytest.raises(SpecError, match=f"JobSpec.{field}"):
        JobSpec(**{field: value})


def test_limits_are_written_as_numbers_or_text() -> None:
    assert JobSpec(max_errors="5", max_error_rate="0.5") == JobSpec(max_errors=5.0, max_error_rate=0.5)


@pytest.mark.parametrize(
    "text",
    [
        "s3://AKIA:hunter2@bucket/x",
        "s3a://AKIA:hun/hunter2@bucket/x",
        "s3://hunter2@bucket",
        "https://me:hunter2@host/x",
        "https://me:hunter2@host:8080/x/../y",
        "abfs://me:hunter2@account/x",
        "@stage/x",
    ],
)
def test_a_secret_in_a_location_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(LocationError, match=r"output_spec\.location: a secret must not stand") as caught:
        normalize(text, {"stage": "s3://AKIA:hunter2@bucket"}, what="output_spec.location")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/a@b",
        "s3://bucket/a:b@c",
        "abfs://container@account.dfs.core.windows.net/x",
        "http://host:8080/a@b",
        "http://[::1]:8080/a@b",
        "memory:///a@b",
        "/data/a@b:c",
    ],
)
def test_an_at_sign_elsewhere_is_a_name(text: str) -> None:
    assert normalize(text, {}) == text
