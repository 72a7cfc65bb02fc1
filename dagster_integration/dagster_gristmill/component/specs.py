"""The specs of a request as fields of a `defs.yaml`; the core checks their values where the file is loaded."""

from typing import Annotated, Any, Literal

import dagster as dg

from dagster_gristmill.component.checked import Checked
from dagster_gristmill.component.text import text, values
from gristmill.outputs.checks import OutputChecks
from gristmill.spec.input import InputSpec
from gristmill.spec.job import JobSpec
from gristmill.spec.output import OutputSpec

__all__ = ["ChecksFields", "ColumnFields", "InputFields", "JobFields", "ListingFields", "OutputFields"]

_tell = dg.Resolver.default


class OutputFields(Checked):
    """Where results go, and what happens to what is there."""

    location: Annotated[
        str | None, text("Where the results stand: a path, a URL or a stage.", "s3://lake/scores/{partition}")
    ] = None
    base_location: Annotated[str | None, text("Or: they stand in a folder of it that has the job's name.")] = None
    mode: Annotated[
        Literal["error", "overwrite"],
        _tell(description="error refuses a location that holds files; overwrite replaces them once all is there."),
    ] = "error"

    def check(self) -> None:
        """Refuse wrong values."""
        self.spec()

    def spec(self) -> OutputSpec:
        """The spec.

        Raises:
            SpecError: a value is wrong.
        """
        return OutputSpec(**self.given())


class ColumnFields(Checked):
    """What a file column holds, and what its files' content becomes."""

    convert_to: Annotated[
        Literal["raw_bytes", "base64", "base64_data_url"], _tell(description="What the model gets of each file.")
    ]
    input_format: Annotated[Literal["full_stage_path"], _tell(description="How the column names its files.")] = (
        "full_stage_path"
    )


class InputFields(Checked):
    """How input rows reach the model."""

    params: Annotated[dict[str, Any], values("Values of the model's parameters.", {"vat": 0.2})] = {}
    column_handling: Annotated[
        dict[str, ColumnFields],
        _tell(description="Columns that name files.", examples=[{"image": {"convert_to": "raw_bytes"}}]),
    ] = {}
    partition_column: Annotated[
        str | None,
        _tell(
            description="The column that partitions the input, for functions that take partitions.", examples=["day"]
        ),
    ] = None
    allowed_locations: Annotated[
        list[str], values("Prefixes that rows may name files under, besides the stages.", ["s3://lake/images/"])
    ] = []

    def check(self) -> None:
        """Refuse wrong values."""
        self.spec()

    def spec(self) -> InputSpec:
        """The spec.

        Raises:
            SpecError: a value is wrong.
        """
        fields = self.given()
        handling = {
            name: {"input_format": one.input_format, **one.given()} for name, one in self.column_handling.items()
        }
        return InputSpec(**{**fields, "column_handling": handling} if handling else fields)


class JobFields(Checked):
    """How a job runs: copies of the model, what each needs, and what happens to rows that fail."""

    job_name: Annotated[str | None, text("The job's name; made of the asset's key where it is left out.")] = None
    job_name_prefix: Annotated[str | None, text("Or the beginning of one that is new every time.")] = None
    function_name: Annotated[str | None, text("The method to run, where the model has several.")] = None
    replicas: Annotated[int, _tell(description="Copies of the model, side by side.")] = 1
    num_workers: Annotated[int, _tell(description="Processes of one replica, which share its resources.")] = 1
    max_batch_rows: Annotated[int | None, _tell(description="Rows of one call at most.")] = None
    cpu_requests: Annotated[float | str | None, _tell(description="CPUs of one replica.", examples=[2, "500m"])] = None
    memory_requests: Annotated[int | str | None, text("Memory of one replica.", "8GiB")] = None
    gpu_requests: Annotated[float | str | None, _tell(description="GPUs of one replica.", examples=[1, 0.5])] = None
    on_error: Annotated[
        Literal["fail", "record"],
        _tell(description="fail publishes nothing when rows fail; record gives them a column _error."),
    ] = "fail"
    max_errors: Annotated[int | None, _tell(description="Stop once more rows than this have failed.")] = None
    max_error_rate: Annotated[float | None, _tell(description="Fail once more than this share has, 0 to 1.")] = None

    def check(self) -> None:
        """Refuse wrong values."""
        self.spec()

    def spec(self) -> JobSpec:
        """The spec.

        Raises:
            SpecError: a value is wrong.
        """
        return JobSpec(**self.given())


class ListingFields(Checked):
    """Files at a location as rows, one for each."""

    location: Annotated[str, text("A folder or stage, listed at any depth.", "@images/{partition}")]
    pattern: Annotated[str | None, text("A regular expression that the whole path matches.", r".*\.jpg")] = None
    column_name: Annotated[str, text("The column.")] = "FILE_PATH"


class ChecksFields(Checked):
    """What is asked of each output, as asset checks."""

    complete: Annotated[bool, _tell(description="Rows in are rows out, and every file is there with its size.")] = True
    max_error_rate: Annotated[
        float | None, _tell(description="At most this share of the rows failed, 0 to 1; null asks nothing.")
    ] = 0.0
    no_nulls: Annotated[
        bool | list[str], _tell(description="No null in what the model made, or in these columns of it.")
    ] = True
    fresh_within: Annotated[
        float | str | None, text("The output is no older than this: seconds, or ISO text.", "PT26H", 3600)
    ] = None
    blocking: Annotated[
        bool, _tell(description="What builds on the output waits for the checks, and does not run when one fails.")
    ] = False

    def check(self) -> None:
        """Refuse wrong values."""
        self.spec()

    def spec(self) -> OutputChecks:
        """The checks.

        Raises:
            SpecError: a value is wrong.
        """
        return OutputChecks(**self.given())
