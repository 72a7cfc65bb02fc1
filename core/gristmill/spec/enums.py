"""The enumerations of a request and of a job."""

from enum import Enum, StrEnum
from typing import Self

__all__ = ["FileEncoding", "InferenceEngine", "InputFormat", "JobStatus", "OnError", "SaveMode"]


class SaveMode(StrEnum):
    """What to do when the output location already holds files."""

    OVERWRITE = "overwrite"
    ERROR = "error"


class InputFormat(StrEnum):
    """How a file column names its files."""

    FULL_STAGE_PATH = "full_stage_path"


class FileEncoding(StrEnum):
    """What a file column's content becomes on its way to the model."""

    RAW_BYTES = "raw_bytes"
    BASE64 = "base64"
    BASE64_DATA_URL = "base64_data_url"


class InferenceEngine(StrEnum):
    """The engines known by name; others are found by entry point."""

    VLLM = "vllm"
    PYTHON_GENERIC = "python_generic"

    @classmethod
    def from_value(cls, value: "str | InferenceEngine") -> Self:
        """The member for a member, or for its name or value in any case, stripped.

        Raises:
            ValueError: no member has that name or value.

        Example:
            >>> InferenceEngine.from_value(" vLLM ")
            <InferenceEngine.VLLM: 'vllm'>
        """
        text = value.value if isinstance(value, Enum) else str(value)
        folded = text.strip().lower()
        for member in cls:
            if folded in (member.value, member.name.lower()):
                return member
        known = ", ".join(member.value for member in cls)
        raise ValueError(f"engine {text!r} is not known; choose one of: {known}")


class OnError(StrEnum):
    """What a job does with rows that fail.

    FAIL: the job goes on to the end or to `max_errors`, then fails and publishes nothing.
    RECORD: failed rows stand in the output with null outputs and a filled `_error` column.
    """

    FAIL = "fail"
    RECORD = "record"


class JobStatus(StrEnum):
    """The eight states of a job."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    DELETED = "DELETED"

    @property
    def is_terminal(self) -> bool:
        """Whether a job in this state has stopped for good (it may still be resumed by running it again)."""
        return self not in (JobStatus.PENDING, JobStatus.RUNNING, JobStatus.CANCELLING)
