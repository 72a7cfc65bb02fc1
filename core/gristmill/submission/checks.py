"""What is refused before anything is written: every check of a request that needs more than the request itself."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pyarrow as pa

from gristmill.chat.params import check_param_columns
from gristmill.chat.signature import MESSAGES, chat_column
from gristmill.engines.protocol import ModelInfo
from gristmill.errors import LocationError, ModelError, OutputExistsError, SchemaError, SpecError
from gristmill.inputs.files import FilesSource
from gristmill.inputs.glob import has_magic
from gristmill.inputs.listing import FileListing
from gristmill.inputs.source import Source
from gristmill.models.columns import own_name
from gristmill.models.fitting import misfits
from gristmill.models.objects import ModelObject
from gristmill.models.signature import Feature, Signature
from gristmill.outputs.layout import PRIVATE, SENTINEL
from gristmill.outputs.schema import output_schema
from gristmill.partitions.keys import check_key
from gristmill.settings import PoolSettings
from gristmill.spec.enums import FileEncoding, OnError, SaveMode
from gristmill.spec.input import ColumnHandling, InputSpec
from gristmill.spec.job import JobSpec
from gristmill.storage.location import is_local, is_under, join, scheme_of
from gristmill.storage.storage import FileInfo, Storage

__all__ = [
    "check_chat",
    "check_columns",
    "check_file_columns",
    "check_output_columns",
    "check_output_is_free",
    "check_overlap",
    "check_partitions",
    "check_place",
    "check_pool",
    "choose_function",
]

_HIDDEN = ("_", ".")
_MOST_WORKERS = 1_024
"""On one machine; more is a slip of the pen, and would take the machine down."""


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


def check_partitions(schema: pa.Schema, spec: InputSpec, signature: Signature, *, function: str) -> str | None:
    """Find the column that partitions the input.

    Returns:
        The input's own name of it; None where there is none.

    Raises:
        SpecError: the function runs row by row.
        SchemaError: there is no such column, it cannot tell partitions apart, or an output is named like it.
    """
    given = spec.partition_column
    if given is None:
        return None
    what = f"input_spec.partition_column={given!r}"
    if signature.kind == "scalar":
        raise SpecError(
            f"{what}: the function {function!r} takes no partitions, it runs row by row; leave it out, or mark the "
            'method with @partitioned_api or @inference_api(function_type="table_function")'
        )
    column = own_name(schema, given, what="input_spec.partition_column")
    check_key(schema.field(column).type, what=f"{what}: the column {column!r}")
    same = [feature.name for feature in signature.outputs or () if feature.name.lower() == column.lower()]
    if same and signature.kind == "partitioned":
        raise SchemaError(
            f"{what}: the function {function!r} has an output {same[0]!r} of that name; the partition column stands "
            "in the output in any case: leave it out of the function's outputs, or rename it there"
        )
    return column


def check_chat(schema: pa.Schema, spec: InputSpec, signature: Signature, *, function: str) -> str | None:
    """Find the column of conversations for a chat function.

    Returns:
        The input's own name of the column of messages; None where the prompt is plain text, or the function is no chat.

    Raises:
        SchemaError: there is no such column, there are several, or it has a wrong type.
        SpecError: it is also a file column.
    """
    if not signature.is_chat:
        return None
    column = chat_column(schema, what=f"the function {function!r}")
    if any(name.lower() == column.name.lower() for name in spec.column_handling or {}):
        why = "the files that messages name are found and read without it" if column.is_messages else "it holds text"
        raise SpecError(f"input_spec.column_handling: {column.name!r} is no file column, {why}; leave it out")
    check_param_columns(signature.inputs or (), schema)
    return column.name if column.is_messages else None


def check_columns(schema: pa.Schema, spec: InputSpec, signature: Signature, *, function: str) -> dict[str, str]:
    """Match the input's columns with file columns and the signature's inputs, without regard to case or order.

    A file column counts as what its files' content becomes.

    Returns:
        The input's own names of the file columns, by the names in `column_handling`.

    Raises:
        SchemaError: columns are missing, of a wrong type, or could be meant by the same name; all of them are named.
    """
    has = ", ".join(schema.names) or "none"
    names = {name: own_name(schema, name, what="input_spec.column_handling") for name in spec.column_handling or {}}
    given = schema
    for name, handling in (spec.column_handling or {}).items():
        kind = pa.binary() if handling.convert_to is FileEncoding.RAW_BYTES else pa.string()
        given = given.set(given.names.index(names[name]), pa.field(names[name], kind))
    inputs = signature.inputs or ()
    if signature.is_chat:  # whose messages and values are read from any type that could hold them
        inputs = tuple(Feature(feature.name, pa.null()) for feature in inputs if feature.name != MESSAGES)
    wanted, wrong = misfits(inputs, given)
    needs = [f"needs the input column(s) {', '.join(wanted)}"] if wanted else []
    cannot = [f"cannot take the input as it is: {'; '.join(wrong)}"] if wrong else []
    if wanted or wrong:
        raise SchemaError(
            f"the function {function!r} {', and '.join(needs + cannot)}; the input has: {has}. "
            "Rename or cast columns, for example with a query"
        )
    return names


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
    if outputs is None:
        outputs = pa.schema([])
    try:
        output_schema(schema, outputs, record_errors=on_error is OnError.RECORD)
    except SchemaError as error:
        collide = {name.lower() for name in schema.names} & {name.lower() for name in outputs.names}
        if not (signature.is_chat and collide):
            raise
        raise SchemaError(
            f'{error}, or let all outputs have a prefix with inference_engine_options={{"output_prefix": "chat_"}}'
        ) from error


def check_overlap(location: str, *, source: Source, rows: Any, home: str, model: str | ModelObject) -> None:
    """Refuse an output location that holds what the job needs, or that the next run would read as its input.

    Paths of this machine are compared as the files they lead to, through all links.

    Args:
        location: the output location.
        source: the input; its files, for files.
        rows: the input as the user gave it, for a file listing.
        home: where jobs are recorded.
        model: its reference.

    Raises:
        SpecError: it does.
    """
    real = _resolver()
    output = real(location)
    needed = {}
    if isinstance(rows, FileListing):
        needed["the listed files at"] = rows.normal
    if isinstance(source, FilesSource) and not has_magic(source.location):
        needed["the input"] = source.location
    scheme, _, target = model.partition(":") if isinstance(model, str) else ("", "", "")
    if scheme in ("pickle", "hf", "mlflow") and (is_local(target) or "://" in target):
        needed["the model"] = target
    needed["the settings' home"] = home
    for what, path in needed.items():
        if is_under(real(path), output):
            raise _holds(location, what, path)
    if not isinstance(source, FilesSource):
        return
    for path in _leading_into(output, source.files, real):
        raise _holds(location, "the input", path)
    if _would_be_read(source.location, output, real):
        raise SpecError(
            f"output_spec.location {location!r} stands inside the input {source.location!r}, "
            "so that the next run would read this one's output as its input; choose a location outside, "
            "or name the input's files with a glob that leaves it out"
        )


def _holds(location: str, what: str, path: str) -> SpecError:
    return SpecError(
        f"output_spec.location {location!r} holds {what} {path!r}, which publishing would replace; "
        "choose another location"
    )


def _resolver() -> Callable[[str], str]:
    """Where locations lead through all links; each folder is asked once, whatever number of locations is below it."""
    known = {"/": "/"}

    def real(location: str) -> str:
        if not is_local(location):
            return location
        if location not in known:
            folder, _, name = location.rpartition("/")
            straight = join(real(folder or "/"), name)
            known[location] = os.path.realpath(straight) if os.path.islink(straight) else straight  # noqa: PTH114 - text, and many
        return known[location]

    return real


def _leading_into(output: str, files: Iterable[FileInfo], real: Callable[[str], str]) -> Iterator[str]:
    """The files that stand inside the output, by themselves or through a link."""
    inside: dict[str, bool] = {}
    for file in files:
        folder = file.location.rpartition("/")[0]
        if folder not in inside:
            inside[folder] = is_under(real(folder or "/"), output)
        if inside[folder] or (
            is_local(file.location) and os.path.islink(file.location) and is_under(real(file.location), output)  # noqa: PTH114 - text, and many
        ):
            yield file.location


def _would_be_read(given: str, output: str, real: Callable[[str], str]) -> bool:
    """Whether what stands in the output would be among the files of an input location, or among its matches."""
    parts = given.split("/")
    fixed = next((at for at, part in enumerate(parts) if has_magic(part)), len(parts))
    root = real("/".join(parts[:fixed]) or "/").rstrip("/")
    if not output.startswith(root + "/"):
        return False
    return _reaches(parts[fixed:], [*output[len(root) + 1 :].split("/"), "part-00000.parquet"])


def _reaches(segments: list[str], names: list[str]) -> bool:
    """Whether a glob's segments match a path, or a folder that it stands in; hidden names only where spelled out."""
    if not segments:
        return not any(name.startswith(_HIDDEN) for name in names)
    if not names:
        return segments == ["**"]
    first, name = segments[0], names[0]
    is_shown = not name.startswith(_HIDDEN)
    if first == "**":
        return _reaches(segments[1:], names) or (is_shown and _reaches(segments, names[1:]))
    return (is_shown or first.startswith(_HIDDEN)) and fnmatchcase(name, first) and _reaches(segments[1:], names[1:])


def check_place(location: str, *, what: str) -> None:
    """Refuse a folder of this machine that could not be written; other storage tells when it is used.

    Raises:
        LocationError: it is the root, or it or a folder above it is a file or may not be written.
    """
    if not is_local(location):
        return
    if os.path.realpath(location) == "/":
        raise LocationError(f"{what} {location!r} is the root of the file system; give a folder of its own")
    place = Path(location)
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        which = "" if place == Path(location) else f": {str(place)!r}"
        raise LocationError(f"{what} {location!r}{which} is a file; give a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise LocationError(f"{what} {location!r}: {str(place)!r} may not be written; give another location")


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


def _check_spread(pool: PoolSettings, gpus: float, *, name: str) -> None:
    """Refuse a copy of a model over Ray's GPUs, which may stand on several nodes, where there are none for it."""
    said = "the engine's arguments have Ray place each copy of the model (--distributed-executor-backend=ray)"
    if pool.kind != "ray":
        raise SpecError(
            f'{said}, and the pool {name!r} has no Ray; use a pool of kind "ray", or leave the argument out'
        )
    if gpus < 1 or gpus % 1:
        raise SpecError(
            f"job_spec.gpu_requests={gpus:g}: {said}, one worker on each GPU; "
            "ask for the GPUs of one copy, a whole number, or leave the argument out"
        )


def check_pool(pool: PoolSettings, how: JobSpec, info: ModelInfo, *, name: str, locations: list[str]) -> None:
    """Refuse what the pool or the model cannot do.

    Raises:
        SpecError: more workers than a machine can have, GPUs for a model that uses none, several workers for GPUs that
            nobody would share out, a copy of a model over nodes that the pool has not, or memory locations outside this
            process.
    """
    workers = how.replicas * how.num_workers
    if pool.kind != "ray" and workers > _MOST_WORKERS:
        raise SpecError(
            f"job_spec.replicas={how.replicas} with num_workers={how.num_workers}: the pool {name!r} is one machine, "
            f"which runs at most {_MOST_WORKERS:,} workers; ask for fewer"
        )
    gpus = how.gpu_requests or 0
    if gpus and not info.uses_gpu:
        raise SpecError(f"job_spec.gpu_requests={gpus:g}: this model does not use a GPU; leave it out")
    if gpus and pool.kind != "ray" and workers > 1:
        raise SpecError(
            f"job_spec.gpu_requests={gpus:g} with {workers} workers: "
            f"the pool {name!r} does not share "
            'GPUs out among workers; use a pool of kind "ray"'
        )
    if info.is_alone and how.num_workers > 1:
        raise SpecError(
            f"job_spec.num_workers={how.num_workers}: a replica of this model is one engine, which runs many rows at a "
            "time by itself; leave num_workers out, and ask for more replicas"
        )
    if info.is_alone and pool.kind == "inline" and how.replicas > 1:
        raise SpecError(
            f"job_spec.replicas={how.replicas}: a process can hold one engine of this model, and the pool {name!r} is "
            "this process; ask for one replica, or use another pool"
        )
    if info.spreads:
        _check_spread(pool, gpus, name=name)
    if info.gpus is not None and gpus and gpus != info.gpus:
        raise SpecError(
            f"job_spec.gpu_requests={gpus:g}: the engine's arguments cut each copy of the model over {info.gpus} GPUs; "
            f"ask for {info.gpus}, or leave the parallel sizes out, so that they follow gpu_requests"
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
