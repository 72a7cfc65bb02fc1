"""An Arrow schema as text, for JSON records."""

import base64

import pyarrow as pa

__all__ = ["schema_from_text", "schema_to_text"]


def schema_to_text(schema: pa.Schema) -> str:
    """The schema's IPC form in base64.

    Example:
        >>> schema_from_text(schema_to_text(pa.schema({"x": pa.int64()})))
        x: int64
    """
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def schema_from_text(text: str) -> pa.Schema:
    """The schema that `schema_to_text` wrote."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))
