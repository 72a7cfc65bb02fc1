"""How input rows reach the model."""

from typing import Any

from pydantic import field_validator

from gristmill.spec.base import Spec
from gristmill.spec.enums import FileEncoding, InputFormat

__all__ = ["ColumnHandling", "InputSpec"]


class ColumnHandling(Spec):
    """What a file column holds, and what its files' content becomes.

    Attributes:
        input_format: how the column names its files.
        convert_to: the encoding the model receives.

    Example:
        >>> ColumnHandling(input_format="full_stage_path", convert_to="raw_bytes").convert_to
        <FileEncoding.RAW_BYTES: 'raw_bytes'>
    """

    input_format: InputFormat
    convert_to: FileEncoding

    @field_validator("input_format", "convert_to", mode="before")
    @classmethod
    def _fold(cls, value: Any) -> Any:
        return (
            value.strip().lower()
            if isinstance(value, str) and not isinstance(value, FileEncoding | InputFormat)
            else value
        )


class InputSpec(Spec):
    """How input rows reach the model.

    Attributes:
        params: values for the parameters of the model's signature; names in any case.
        column_handling: file columns by name (in any case) and how their content is given to the model.
        partition_column: the column that partitions the input, for methods that take partitions.
        allowed_locations: prefixes that this job's rows may name files under, besides the stages and the settings'
            `allowed`: stages, absolute paths or URLs.

    Example:
        >>> spec = InputSpec(column_handling={"image": {"input_format": "full_stage_path", "convert_to": "raw_bytes"}})
        >>> spec.column_handling["image"].convert_to.value
        'raw_bytes'
    """

    params: dict[str, Any] | None = None
    column_handling: dict[str, ColumnHandling] | None = None
    partition_column: str | None = None
    allowed_locations: tuple[str, ...] = ()
