"""Partitions of a table that fits in memory, the same as those of a job."""

import itertools
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from gristmill.models.columns import own_name
from gristmill.partitions.keys import changes, check_key, comparable, sorted_order

__all__ = ["split"]


def split(table: pa.Table, column: str) -> Iterator[tuple[Any, pa.Table]]:
    """The partitions of a table, in the order of their keys: ascending, then NaN, then null.

    Args:
        table: n rows.
        column: the name of the column that tells partitions apart, in any case.

    Yields:
        Each key as a Python value, and its rows with all columns, in the order of the table.

    Raises:
        SchemaError: there is no such column, or it cannot tell partitions apart.

    Example:
        >>> table = pa.table({"region": ["us", "eu", "us"], "price": [1, 2, 3]})
        >>> [(key, rows["price"].to_pylist()) for key, rows in split(table, "REGION")]
        [('eu', [2]), ('us', [1, 3])]
    """
    place = table.column_names.index(own_name(table.schema, column, what="partition_column"))
    check_key(table.schema.field(place).type, what=f"partition_column: the column {table.schema.names[place]!r}")
    keys = comparable(table.column(place).combine_chunks())
    order = sorted_order(keys)
    rows = table.take(order)
    bounds = [0, *changes(keys.take(order)), len(keys)]
    for start, stop in itertools.pairwise(bounds):
        if start < stop:
            yield rows.column(place)[start].as_py(), rows.slice(start, stop - start)
