"""Parquet footers: opening them, and a way around what Arrow cannot read back."""

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.inputs.opening import InputFile, named

__all__ = ["open_parquet", "readable_metadata"]

_MAGIC = b"PAR1"
_TAIL = 8


def open_parquet(file: InputFile, **options: Any) -> pq.ParquetFile:
    """The file with its footer read.

    Raises:
        OSError: it is not Parquet, or the footer is damaged; the file is named.
    """
    with named(file.location):
        return pq.ParquetFile(file.file, page_checksum_verification=True, **options)


def readable_metadata(file: InputFile, parquet: pq.ParquetFile) -> pq.FileMetaData:
    """The file's metadata, such that its columns can be decoded.

    Arrow fails on a null in a fixed-size list ("Expected all lists to be of size=2 but index 1 had size=0").
    Such a file is read as if Arrow had not written it, with ordinary lists, which are then cast. The types that only
    Arrow's own schema tells (dictionaries, time zones, durations) come back with the cast too.
    """
    names = {field.name for field in parquet.schema_arrow if _has_fixed_size_list(field.type)}
    if not names or not _may_have_nulls(parquet.metadata, names):
        return parquet.metadata
    with named(file.location):
        end = file.file.size()
        file.file.seek(end - _TAIL)
        length = int.from_bytes(file.file.read(4), "little")
        file.file.seek(end - _TAIL - length)
        footer = bytes(file.file.read(length + _TAIL))
        # The key that Arrow finds its schema under; another of the same length leaves all offsets as they are
        return pq.read_metadata(pa.BufferReader(_MAGIC + footer.replace(b"ARROW:schema", b"ARROW_schema")))


def _has_fixed_size_list(kind: pa.DataType) -> bool:
    if pa.types.is_fixed_size_list(kind):
        return True
    if isinstance(kind, pa.BaseExtensionType):
        return _has_fixed_size_list(kind.storage_type)
    return any(_has_fixed_size_list(kind.field(at).type) for at in range(kind.num_fields))


def _may_have_nulls(metadata: pq.FileMetaData, names: set[str]) -> bool:
    """Whether a column of these may hold a null somewhere, as far as the footer tells."""
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for at in range(row_group.num_columns):
            column = row_group.column(at)
            if any(column.path_in_schema == name or column.path_in_schema.startswith(name + ".") for name in names):
                statistics = column.statistics
                if statistics is None or not statistics.has_null_count or statistics.null_count:
                    return True
    return False
