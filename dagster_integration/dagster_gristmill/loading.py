"""Finished outputs as what a downstream asset asks for: tables at once, or what reads them in pieces."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args, get_origin

from gristmill.errors import SchemaError, SpecError
from gristmill.storage.location import is_local, join

if TYPE_CHECKING:
    from gristmill.outputs.manifest import Manifest
    from gristmill.storage.storage import Storage

__all__ = ["FORMS", "Form", "Selection", "Standing", "form_of", "load"]


@dataclass(frozen=True, slots=True)
class Form:
    """What an output is loaded as.

    Attributes:
        name: one of `FORMS`.
        keyed: whether it is a dict of those, by partition.
    """

    name: str
    keyed: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """A finished output.

    Attributes:
        partition: its key; None where the asset has no partitions.
        location: where it stands, in normal form.
        manifest: what its `_SUCCESS` says.
    """

    partition: str | None
    location: str
    manifest: "Manifest"


@dataclass(frozen=True, slots=True)
class Selection:
    """What of an output is loaded.

    Attributes:
        columns: only these, in this order; None for all.
        text: of a chat's output: its texts, in a column `response`.
    """

    columns: tuple[str, ...] | None = None
    text: bool = False


def form_of(annotation: Any) -> Form:
    """The form that the annotation of an input asks for. Packages are known by their names: none is imported.

    Raises:
        SpecError: it is none of them.

    Example:
        >>> import pyarrow as pa
        >>> form_of(pa.Table), form_of(dict[str, pa.Table]).keyed, form_of(Any).name
        (Form(name='pyarrow.Table', keyed=False), True, 'pyarrow.Table')
    """
    if annotation is dict:
        return Form("pyarrow.Table", keyed=True)
    if get_origin(annotation) is dict:
        key, value = get_args(annotation)
        if key in (str, Any):
            return Form(_name(value, annotation), keyed=True)
    return Form(_name(annotation, annotation))


def _name(kind: Any, annotation: Any) -> str:
    if kind in (Any, object):
        return "pyarrow.Table"
    package = str(getattr(kind, "__module__", "")).partition(".")[0].removeprefix("_")
    name = f"{package}.{getattr(kind, '__qualname__', '')}"
    if name not in FORMS:
        shown = annotation.__qualname__ if isinstance(annotation, type) else annotation
        raise SpecError(
            f"an output cannot be loaded as {shown}; annotate the input "
            f"with {', '.join(FORMS)}, or dict[str, ...] of one of them for several partitions by key"
        )
    return name


def load(storage: "Storage", outputs: Sequence[Standing], form: Form, selection: Selection) -> Any:
    """The rows of finished outputs.

    Args:
        storage: where.
        outputs: in the order of their rows; one at least.
        form: see `form_of`. A form that reads in pieces holds no rows yet.
        selection: of columns.

    Raises:
        OutputError: a file is missing or damaged.
        SchemaError: there is no such column, there are no texts, or the outputs do not fit together.
        SpecError: a form that reads in pieces is asked for texts.
    """
    if selection.text and form.name in _IN_PIECES:
        raise SpecError(
            f"text: the texts of a chat cannot be loaded as {form.name}, which reads in pieces; annotate the input "
            "with pyarrow.Table, pandas.DataFrame or polars.DataFrame"
        )
    if not selection.text:  # which has a column of its own making
        for output in outputs:
            _check_columns(output, selection.columns or ())
    if form.keyed:
        return {output.partition: FORMS[form.name](storage, [output], selection) for output in outputs}
    _check_fit(outputs, selection.columns)
    return FORMS[form.name](storage, outputs, selection)


def _check_columns(output: Standing, columns: Sequence[str]) -> None:
    there = [column.name for column in output.manifest.columns]
    unknown = [name for name in columns if name not in there]
    if unknown:
        raise SchemaError(
            f"columns: the output at {output.location!r} has no {unknown[0]!r}; it has {', '.join(there)}"
        )


def _check_fit(outputs: Sequence[Standing], columns: Sequence[str] | None) -> None:
    """Refuse partitions that have other types under the same name, as after a change of the model."""
    seen: dict[str, tuple[str, Standing]] = {}
    for output in outputs:
        for column in output.manifest.columns:
            kind, first = seen.setdefault(column.name, (column.type, output))
            if kind != column.type and (columns is None or column.name in columns):
                raise SchemaError(
                    f"the column {column.name!r} is {kind} in partition {first.partition!r} and {column.type} in "
                    f"{output.partition!r}; annotate the input with dict[str, ...] to load them by partition, or "
                    "materialize the older one again"
                )


def _table(storage: "Storage", outputs: Sequence[Standing], selection: Selection) -> Any:
    import pyarrow as pa

    from gristmill.outputs.read import read_output

    columns, text = selection.columns, selection.text
    tables = [read_output(storage, output.location, columns=columns, text=text) for output in outputs]
    return tables[0] if len(tables) == 1 else pa.concat_tables(tables, promote_options="default")


def _dataset(storage: "Storage", outputs: Sequence[Standing], selection: Selection) -> Any:
    import pyarrow as pa
    import pyarrow.dataset as ds

    from gristmill.outputs.read import open_output

    parts = [open_output(storage, output.location) for output in outputs]
    if selection.columns is not None:
        schemas = [pa.schema([part.schema.field(name) for name in selection.columns]) for part in parts]
        parts = [part.replace_schema(schema) for part, schema in zip(parts, schemas, strict=True)]
    return parts[0] if len(parts) == 1 else ds.dataset(parts)


def _pandas(storage: "Storage", outputs: Sequence[Standing], selection: Selection) -> Any:
    return _table(storage, outputs, selection).to_pandas()


def _polars(storage: "Storage", outputs: Sequence[Standing], selection: Selection) -> Any:
    import polars as pl

    return pl.from_arrow(_table(storage, outputs, selection))


def _lazy(storage: "Storage", outputs: Sequence[Standing], selection: Selection) -> Any:
    import polars as pl

    if not all(is_local(output.location) for output in outputs):
        return pl.scan_pyarrow_dataset(_dataset(storage, outputs, selection))
    # Polars reads local files itself, row group by row group; of a dataset it takes at once all that a query selects
    frames = [
        pl.scan_parquet(
            [join(output.location, file.path) for file in output.manifest.files], glob=False, hive_partitioning=False
        )
        for output in outputs
    ]
    if selection.columns is not None:
        frames = [frame.select(selection.columns) for frame in frames]
    return frames[0] if len(frames) == 1 else pl.concat(frames, how="diagonal")


def _relation(storage: "Storage", outputs: Sequence[Standing], selection: Selection) -> Any:
    import duckdb

    return duckdb.from_arrow(_dataset(storage, outputs, selection))


FORMS: Mapping[str, Callable[["Storage", Sequence[Standing], Selection], Any]] = {
    "pyarrow.Table": _table,
    "pyarrow.Dataset": _dataset,
    "pandas.DataFrame": _pandas,
    "polars.DataFrame": _polars,
    "polars.LazyFrame": _lazy,
    "duckdb.DuckDBPyRelation": _relation,
}
"""How each form is read, by the package and the name of its type."""

_IN_PIECES = frozenset({"pyarrow.Dataset", "polars.LazyFrame", "duckdb.DuckDBPyRelation"})
