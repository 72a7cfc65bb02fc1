"""One schema for all parts of an output."""

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.errors import SchemaError
from gristmill.outputs.part import PartFile, PartWriter
from gristmill.outputs.schema import storable
from gristmill.spec.row_error import ERROR_COLUMN
from gristmill.storage.storage import Storage

__all__ = ["agree", "conform", "part_schema"]


def part_schema(storage: Storage, location: str) -> pa.Schema:
    """The schema of a part."""
    with storage.open(location) as file:
        return pq.read_schema(file).remove_metadata()


def agree(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """The schema that holds the rows of parts with these schemas; the first one gives the columns' order.

    A column of nulls takes the type that the others have, numbers the wider type.

    Raises:
        SchemaError: a column's types have nothing in common.
    """
    if len(schemas) == 1:
        return schemas[0]
    try:
        unified = pa.unify_schemas(list(schemas), promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SchemaError(
            f"the model gave outputs of different types for different rows: {error}; "
            "declare the outputs' types in its signature, or return the same types for every batch"
        ) from error
    return pa.schema([field.with_type(storable(field.type, column=field.name)) for field in unified])


def conform(storage: Storage, source: str, target: str, schema: pa.Schema) -> PartFile:
    """Write a part again, with another schema.

    Raises:
        SchemaError: a value does not fit.
    """
    with storage.open(source) as file, PartWriter(storage, target, schema) as part:
        for batch in _batches(pq.ParquetFile(file), schema):
            part.write(batch)
        return part.close()


def _batches(file: pq.ParquetFile, schema: pa.Schema) -> Iterable[pa.RecordBatch]:
    """The rows with the columns of `schema`: nulls where a column is lacking.

    None is ever dropped, but an `_error` that is null in every row: an earlier run recorded errors, this one does not.
    """
    extra = [name for name in file.schema_arrow.names if name not in schema.names]
    if [name for name in extra if name != ERROR_COLUMN]:
        raise SchemaError(f"it has the column {extra[0]!r}, which the output's schema {schema.names} has not")
    for batch in file.iter_batches():
        if extra and batch.column(ERROR_COLUMN).null_count < len(batch):
            raise SchemaError(f"it has failed rows, which an output without {ERROR_COLUMN!r} cannot have")
        if batch.schema.names == schema.names:
            yield batch
        else:
            yield pa.RecordBatch.from_arrays(
                [
                    batch.column(field.name) if field.name in batch.schema.names else pa.nulls(len(batch), field.type)
                    for field in schema
                ],
                names=schema.names,
            )
