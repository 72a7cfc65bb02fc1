"""How a job runs: its name, its replicas, their resources, and what it does with failing rows."""

import re
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    StrictBool,
    field_validator,
    model_validator,
)

from gristmill.spec.base import Spec
from gristmill.spec.enums import OnError

__all__ = ["InferenceSpec", "JobSpec", "ResourcesSpec", "parse_memory"]

_UNITS = {
    "": 1,
    **{unit: 1000**power for power, unit in enumerate(("k", "m", "g", "t"), start=1)},
    **{f"{unit}i": 1024**power for power, unit in enumerate(("k", "m", "g", "t"), start=1)},
}
_MOST_MEMORY = 2**63
_MOST = 2**31 - 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,127}")


def parse_memory(value: str | int) -> int:
    """Bytes for `8GiB`, `512MB`, `8Gi`, `1.5G` or a plain number of bytes.

    Example:
        >>> parse_memory("8GiB")
        8589934592
    """
    if isinstance(value, bool):
        raise ValueError("is not an amount of memory; write it as '8GiB'")  # noqa: TRY004 - pydantic wants ValueError
    text = str(value).strip().lower()
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?", text)
    if not match:
        raise ValueError(f"{value!r} is not an amount of memory; write it as '8GiB'")
    exact = float(match[1]) * _UNITS[match[2] or ""]
    if exact >= _MOST_MEMORY:
        raise ValueError(f"{value!r} is more memory than any machine has; write it as '8GiB'")
    amount = int(exact)
    if amount <= 0:
        raise ValueError(f"{value!r} is not a positive amount of memory; write it as '8GiB'")
    return amount


def _number(value: Any) -> Any:
    """A number for the text people write; '500m' is Kubernetes' half a CPU."""
    if isinstance(value, bool):
        raise ValueError("is not a number")  # noqa: TRY004 - pydantic wants ValueError
    if isinstance(value, str):
        text = value.strip()
        try:
            return float(text[:-1]) / 1000 if text.endswith("m") else float(text)
        except ValueError:
            raise ValueError(f"{value!r} is not a number; write it as '2' or '0.5'") from None
    return value


def _count(value: Any) -> Any:
    number = _number(value)
    return int(number) if isinstance(number, float) and number.is_integer() else number


Count = Annotated[PositiveInt, Field(le=_MOST), BeforeValidator(_count)]
Limit = Annotated[NonNegativeInt, BeforeValidator(_count)]
Cpus = Annotated[NonNegativeFloat, Field(allow_inf_nan=False), BeforeValidator(_number)]
Gpus = Annotated[NonNegativeFloat, Field(allow_inf_nan=False), BeforeValidator(_number)]
Memory = Annotated[int, BeforeValidator(parse_memory)]
Rate = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), BeforeValidator(_number)]


class ResourcesSpec(Spec):
    """What a job's replicas need.

    Attributes:
        replicas: how many copies of the model run side by side.
        cpu_requests: CPUs of one replica (`2`, `"2"`, `"500m"`).
        memory_requests: bytes of one replica (`"8GiB"` or a number).
        gpu_requests: GPUs of one replica (`1`, `"1"`; a fraction shares one GPU).
    """

    replicas: Count = 1
    cpu_requests: Cpus | None = None
    memory_requests: Memory | None = None
    gpu_requests: Gpus | None = None


class InferenceSpec(Spec):
    """How a replica runs the model.

    Attributes:
        function_name: the method to run; needed only when the model has several.
        num_workers: processes of one replica, each with its own copy of the model; they share the replica's resources.
        max_batch_rows: rows of one call at most; sized while running when not given.
    """

    function_name: str | None = None
    num_workers: Count = 1
    max_batch_rows: Count | None = None


class JobSpec(ResourcesSpec, InferenceSpec):
    """How a job runs.

    Attributes:
        job_name: the job's name, used again by a rerun, which then reattaches or resumes; not with `job_name_prefix`.
        job_name_prefix: the beginning of a name that is new every time.
        block: wait for the end before `run_batch` returns.
        on_error: what to do with rows that fail; see `OnError`.
        max_errors: stop once more rows than this have failed; 100 with `on_error="fail"` if not given, else no limit.
        max_error_rate: fail once more than this share of all rows has failed, 0 to 1.

    Example:
        >>> JobSpec(job_name="nightly", replicas="2", memory_requests="8GiB").memory_requests
        8589934592
    """

    job_name: str | None = None
    job_name_prefix: str | None = None
    block: StrictBool = False
    on_error: OnError = OnError.FAIL
    max_errors: Limit | None = None
    max_error_rate: Rate | None = None

    @field_validator("on_error", mode="before")
    @classmethod
    def _fold(cls, value: Any) -> Any:
        return value.strip().lower() if isinstance(value, str) and not isinstance(value, OnError) else value

    @field_validator("job_name", "job_name_prefix")
    @classmethod
    def _name(cls, value: str | None) -> str | None:
        if value is not None and not _NAME.fullmatch(value):
            raise ValueError("a name has letters, digits, '_', '-' and '.', starts with a letter or digit, at most 128")
        return value

    @model_validator(mode="after")
    def _one_name(self) -> "JobSpec":
        if self.job_name is not None and self.job_name_prefix is not None:
            raise ValueError("give job_name or job_name_prefix, not both")
        return self
