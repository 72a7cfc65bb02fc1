"""What is refused before anything is written: every check of a request that needs more than the request itself."""

from collections.abc import Mapping

import pyarrow as pa

from gristmill.engines.protocol import ModelInfo
from gristmill.errors import LocationError, ModelError, OutputExistsError, SchemaError, SpecError
from gristmill.models.signature import Signature
from gristmill.outputs.layout import PRIVATE, SENTINEL
from gristmill.outputs.schema import output_schema
from gristmill.settings import PoolSettings
from gristmill.spec.enums import OnError, SaveMode
from gristmill.spec.input import ColumnHandling, InputSpec
from gristmill.spec.job import JobSpec
from gristmill.storage.location import is_under, join, scheme_of
from gristmill.storage.storage import Storage

__all__ = [
    "check_columns",
    "check_file_columns",
    "check_output_columns",
    "check_output_is_free",
    "check_overlap",
    "check_partitions",
    "check_pool",
    "choose_function",
]


def choose_function(info: ModelInfo, name: str | None, *, model: str) -> tuple[str, Signature]:
    """The function to run and its signature.

    Raises:
        ModelError: the model has no such function, or has several and none was named.
    """
    functions: Mapping[str, Signature] = info.functions
    listed = ", ".join(sorted(functions)) or "none"
    if name is not None:
        if name not in functions:
            raise ModelError(f"job_spec.function_name: the model {model!r} has no function {name!r}; it has: {listed}")
        return name, functions[name]
    if info.default_function is not None:
        return info.default_function, functions[info.default_function]
    if len(functions) != 1:
        raise ModelError(f"job_spec.function_name: the model {model!r} has several functions, name one of: {listed}")
    return next(iter(functions.items()))


def check_partitions(spec: InputSpec, *, function: str) -> None:
    """Refuse a partition column: no function takes partitions, each runs row by row or batch by batch.

    Raises:
        SpecError: there is one.
    """
    if spec.partition_column is not None:
        raise SpecError(
            f"input_spec.partition_column={spec.partition_column!r}: the function {function!r} takes no partitions; "
            "leave it out"
        )


def check_columns(schema: pa.Schema, spec: InputSpec, signature: Signature, *, function: str) -> dict[str, str]:
    """Match the input's columns with file columns and the signature's inputs, without regard to case or order.

    Returns:
        The input's own names of the file columns, by the names in `column_handling`.

    Raises:
        SchemaError: a column is missing; all missing ones are named.
    """
    there = {name.lower(): name for name in schema.names}
    has = ", ".join(schema.names) or "none"
    missing = [name for name in spec.column_handling or {} if name.lower() not in there]
    if missing:
        raise SchemaError(f"input_spec.column_handling: the input has no column {missing[0]!r}; it has: {has}")
    if signature.inputs is not None:
        wanted = [feature.name for feature in signature.inputs if feature.name.lower() not in there]
        if wanted:
            raise SchemaError(
                f"the function {function!r} needs the input column(s) {', '.join(wanted)}; the input has: {has}"
            )
    return {name: there[name.lower()] for name in spec.column_handling or {}}


def check_file_columns(handling: Mapping[str, ColumnHandling], schema: pa.Schema) -> None:
    """Refuse file columns that do not hold text.

    Raises:
        SchemaError: one does not.
    """
    for name in handling:
        kind = schema.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
            raise SchemaError(f"input_spec.column_handling: the column {name!r} holds {kind}, not paths as text")


def check_output_columns(schema: pa.Schema, signature: Signature, *, on_error: OnError) -> None:
    """Refuse outputs, where they are known, and `_error`, that are named like an input column.

    Raises:
        SchemaError: one is.
    """
    outputs = signature.output_schema()
    output_schema(schema, pa.schema([]) if outputs is None else outputs, record_errors=on_error is OnError.RECORD)


def check_overlap(sources: list[str], location: str) -> None:
    """Refuse an input that stands inside the output location: publishing would replace it.

    Raises:
        SpecError: it does.
    """
    for source in sources:
        if is_under(source, location):
            raise SpecError(
                f"output_spec.location {location!r} holds the input {source!r}, which publishing would replace; "
                "choose another location"
            )


def check_output_is_free(storage: Storage, location: str, mode: SaveMode) -> None:
    """Refuse a location that holds files, in ERROR mode; work in progress of ours does not count.

    Raises:
        OutputExistsError: it holds some; says how many.
        LocationError: it is a file.
    """
    private = join(location, PRIVATE)
    found = 0
    finished = False
    for info in storage.list(location):
        if info.location == location:
            raise LocationError(f"output_spec.location {location!r} is a file; give a folder")
        if not is_under(info.location, private):
            found += 1
            finished = finished or info.location == join(location, SENTINEL)
    if found and mode is SaveMode.ERROR:
        what = "a finished output" if finished else "files"
        raise OutputExistsError(
            f"output_spec.location {location!r} is not empty: "
            f"it holds {found:,} file{'s' if found > 1 else ''} ({what}); "
            'choose an empty location, or mode="overwrite" to replace them'
        )


def check_pool(pool: PoolSettings, how: JobSpec, info: ModelInfo, *, name: str, locations: list[str]) -> None:
    """Refuse what the pool or the model cannot do.

    Raises:
        SpecError: GPUs for a model that uses none, several workers for GPUs that nobody would share out, or memory
            locations outside this process.
    """
    gpus = how.gpu_requests or 0
    if gpus and not info.uses_gpu:
        raise SpecError(f"job_spec.gpu_requests={gpus:g}: this model does not use a GPU; leave it out")
    if gpus and pool.kind != "ray" and how.replicas * how.num_workers > 1:
        raise SpecError(
            f"job_spec.gpu_requests={gpus:g} with {how.replicas * how.num_workers} workers: "
            f"the pool {name!r} does not share "
            'GPUs out among workers; use a pool of kind "ray"'
        )
    if gpus > 1 and how.num_workers > 1 and (gpus / how.num_workers) % 1:
        raise SpecError(
            f"job_spec.gpu_requests={gpus:g} cannot be shared by num_workers={how.num_workers}: "
            "above one GPU each worker gets whole ones"
        )
    if pool.kind != "inline":
        for location in locations:
            if scheme_of(location) == "memory":
                raise LocationError(
                    f"{location!r} is in this process's memory, which the pool {name!r} cannot see; "
                    'use compute_pool="inline" or a real location'
                )
