"""What a schema becomes when its rows are stored as Parquet."""

import io

import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.errors import SchemaError
from gristmill.inputs.schema import plain_schema

__all__ = ["storable_schema"]


def storable_schema(schema: pa.Schema, *, what: str) -> pa.Schema:
    """The schema as it will be read back, told by storing no rows of it.

    Args:
        schema: as the source tells it.
        what: the source, for the error.

    Raises:
        SchemaError: two columns share a name, or a column's type cannot be stored.
    """
    plain = plain_schema(schema, what=what)
    return pa.schema([pa.field(field.name, _stored(field, what)) for field in plain])


def _stored(field: pa.Field, what: str) -> pa.DataType:
    buffer = io.BytesIO()
    alone = pa.schema([field])
    try:
        pq.write_table(alone.empty_table(), buffer)
        return plain_schema(pq.read_schema(buffer), what=what).field(0).type
    except pa.ArrowException as error:
        raise SchemaError(f"{what}: column {field.name!r} of type {field.type} cannot be stored: {error}") from error
