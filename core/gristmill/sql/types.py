"""Types and values on the way from Arrow and Python into SQL."""

import inspect
import json
from typing import Any

import pyarrow as pa

__all__ = ["literal", "positional", "quoted", "sql_types", "sql_value_type"]


def quoted(name: str) -> str:
    """A name as an identifier.

    Example:
        >>> print(quoted("sepal length"))
        "sepal length"
    """
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def literal(value: Any) -> str:
    """A param's default as SQL; lists and dicts as JSON.

    Example:
        >>> print(literal(0.5), literal("it's"), literal(None), literal(["a"]))
        0.5 'it''s' NULL '["a"]'::JSON
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    return f"{_text(json.dumps(value, default=str))}::JSON"


def sql_value_type(kind: pa.DataType) -> pa.DataType:
    """The Arrow type that a function returns for an output; nearly always itself.

    Dictionaries become their values, and half floats floats, which DuckDB has not.
    """
    if pa.types.is_dictionary(kind):
        return sql_value_type(kind.value_type)
    if pa.types.is_float16(kind):
        return pa.float32()
    if isinstance(kind, pa.BaseExtensionType):
        return sql_value_type(kind.storage_type)
    return kind


def sql_types(connection: Any, schema: pa.Schema) -> list[Any]:
    """DuckDB's types for columns.

    Args:
        connection: of DuckDB.
        schema: the columns.
    """
    return list(connection.from_arrow(schema.empty_table()).types)


def positional(count: int | None) -> inspect.Signature:
    """The signature of a callable with so many arguments, or with any number of them."""
    if count is None:
        return inspect.Signature([inspect.Parameter("columns", inspect.Parameter.VAR_POSITIONAL)])
    kind = inspect.Parameter.POSITIONAL_ONLY
    return inspect.Signature([inspect.Parameter(f"column_{place}", kind) for place in range(count)])
