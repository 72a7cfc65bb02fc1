"""Schemas as they are planned: what a source's columns are called and hold, in types that survive storage and gaps."""

import pyarrow as pa

from gristmill.errors import SchemaError

__all__ = ["check_names", "plain_schema", "plain_type", "text_schema"]


def check_names(names: list[str], *, what: str) -> None:
    """Refuse columns that share a name; names match without regard to case.

    Raises:
        SchemaError: two names are equal, or differ in case only.
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.get(name.casefold())
        if other is not None:
            also = "" if other == name else f" and {other!r}, which differ in case only"
            raise SchemaError(f"{what} has two columns {name!r}{also}; rename one of them")
        seen[name.casefold()] = name


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type a column of `kind` is planned with.

    Views become their ordinary kin and run-end encoding goes, at any depth; extension types that do not belong to Arrow
    itself become what they are stored as. Dictionaries, decimals, time zones and nesting stay.
    """
    if isinstance(kind, pa.BaseExtensionType):
        return kind if kind.extension_name.startswith("arrow.") else plain_type(kind.storage_type)
    if pa.types.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if kind == pa.string_view():
        return pa.string()
    if kind == pa.binary_view():
        return pa.binary()
    if pa.types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, plain_type(kind.value_type), kind.ordered)
    if pa.types.is_struct(kind):
        return pa.struct([_plain_field(kind.field(at)) for at in range(kind.num_fields)])
    if pa.types.is_map(kind):
        # A map's keys are never null
        key = kind.key_field.with_type(plain_type(kind.key_type))
        return pa.map_(key, _plain_field(kind.item_field), kind.keys_sorted)
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_plain_field(kind.value_field), kind.list_size)
    if pa.types.is_large_list(kind) or pa.types.is_large_list_view(kind):
        return pa.large_list(_plain_field(kind.value_field))
    if pa.types.is_list(kind) or pa.types.is_list_view(kind):
        return pa.list_(_plain_field(kind.value_field))
    return kind


def _plain_field(field: pa.Field) -> pa.Field:
    return pa.field(field.name, plain_type(field.type), nullable=field.nullable)


def plain_schema(schema: pa.Schema, *, what: str) -> pa.Schema:
    """The schema a source is planned with: plain types, every column nullable, no metadata.

    Columns are nullable because a row that cannot be read stands as nulls beside its error.

    Args:
        schema: as the source tells it.
        what: the source, for the error.

    Raises:
        SchemaError: two columns share a name.
    """
    check_names(schema.names, what=what)
    return pa.schema([pa.field(field.name, plain_type(field.type)) for field in schema])


def text_schema(schema: pa.Schema, *, what: str) -> pa.Schema:
    """The schema of a text file whose types were inferred: what was never seen but null, at any depth, is text."""
    plain = plain_schema(schema, what=what)
    return pa.schema([pa.field(field.name, _no_null(field.type)) for field in plain])


def _no_null(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_struct(kind):
        return pa.struct([kind.field(at).with_type(_no_null(kind.field(at).type)) for at in range(kind.num_fields)])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_no_null(kind.value_type)))
    return kind
