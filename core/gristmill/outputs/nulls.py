"""Nulls in the files of an output: from their footers where those tell, else from as few columns as can be read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gristmill.chat.response import RESPONSE, has_choices, text_of
from gristmill.inputs.opening import open_location
from gristmill.inputs.parquet_footer import open_parquet
from gristmill.spec.row_error import ERROR_COLUMN
from gristmill.storage.storage import Storage

__all__ = ["FileFacts", "facts_of_file"]

_BATCH = 16 * 1024
_ERROR_TYPE = f"{ERROR_COLUMN}.type"
"""The one column of `_error` that every failed row has."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What was found in a file of an output.

    Attributes:
        rows: by its footer.
        nulls: by column: null values in rows that did not fail.
        flaw: why it cannot be read, where it is damaged; nothing else is known then.
    """

    rows: int = 0
    nulls: Mapping[str, int] = field(default_factory=dict)
    flaw: str | None = None


def facts_of_file(storage: Storage, location: str, columns: Sequence[str], *, records_errors: bool) -> FileFacts:
    """The rows of a file, and the nulls in its columns.

    A chat's `choices` are null where they hold no text: no choice at all, or none in the first one. An empty text is
    one, and so is a NaN a number.

    Args:
        storage: where.
        location: the file.
        columns: to count nulls in; none reads the footer alone.
        records_errors: whether the file's `_error` is the job's, so that rows that have one do not count.

    Raises:
        OSError: the storage refuses, or is out of reach. A file that is damaged or gone is a flaw instead.
    """
    file = open_location(storage, location, in_ranges=True)
    try:
        parquet = open_parquet(file)
        nulls = _nulls(parquet, columns, records_errors) if columns else {}
        return FileFacts(parquet.metadata.num_rows, nulls)
    except (OSError, pa.ArrowException) as error:
        cause = error.__cause__ or error  # it may have been named
        if isinstance(cause, FileNotFoundError) or file.is_content(cause):
            return FileFacts(flaw=f"{location!r} is no Parquet file that can be read: {cause}")
        raise
    finally:
        file.close()


def _nulls(parquet: pq.ParquetFile, columns: Sequence[str], records_errors: bool) -> dict[str, int]:  # noqa: FBT001
    found = dict.fromkeys(columns, 0)
    leaves = _leaves(parquet.schema_arrow)
    for number in range(parquet.metadata.num_row_groups):
        group = parquet.metadata.row_group(number)
        unsure = [name for name in columns if _may_hold_nulls(group, parquet.schema_arrow.field(name), leaves[name])]
        if not unsure:
            continue
        read = [*unsure, _ERROR_TYPE] if records_errors else unsure
        for batch in parquet.iter_batches(_BATCH, row_groups=[number], columns=read, use_threads=False):
            went_well = batch.column(ERROR_COLUMN).is_null() if records_errors else None
            for name in unsure:
                found[name] += _null_values(batch, name, went_well)
    return found


def _leaves(schema: pa.Schema) -> dict[str, range]:
    """By column of the schema: its places among those of Parquet, which has one for each leaf of a nested type."""
    places, start = {}, 0
    for one in schema:
        count = sum(1 for _ in _leaf_types(one.type))
        places[one.name] = range(start, start + count)
        start += count
    return places


def _leaf_types(kind: pa.DataType) -> Iterator[pa.DataType]:
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if not pa.types.is_nested(kind):
        yield kind
        return
    for at in range(kind.num_fields):
        yield from _leaf_types(kind.field(at).type)


def _may_hold_nulls(group: pq.RowGroupMetaData, column: pa.Field, places: range) -> bool:
    """Whether the statistics leave it open that a value is null.

    A null value is a null in every leaf below it, and so are an empty list and a null within it: a leaf without any
    proves that there are none, and one with some proves nothing.
    """
    leaves = [group.column(at) for at in places]
    if has_choices(column):
        leaves = [leaf for leaf in leaves if leaf.path_in_schema.endswith(".message.content")]
    counts = [
        leaf.statistics.null_count
        for leaf in leaves
        if leaf.is_stats_set and leaf.statistics is not None and leaf.statistics.has_null_count
    ]
    return 0 not in counts


def _null_values(batch: pa.RecordBatch, name: str, went_well: pa.BooleanArray | None) -> int:
    values = batch.column(name)
    if has_choices(batch.schema.field(name)):
        values = text_of(pa.table({name: values})).column(RESPONSE).combine_chunks()
    nulls = values.is_null()
    return int((nulls if went_well is None else pc.and_(nulls, went_well)).true_count)
