"""How a job's rows belong together, and what of the input stands in the output beside the function's own columns."""

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from gristmill.spec.request import JobRequest

__all__ = ["Partitioning", "kept_columns", "partitioning_of"]


@dataclass(frozen=True, slots=True)
class Partitioning:
    """Partitions of a job.

    Attributes:
        kind: `table` for functions that give one row for each of the partition, `partitioned` for those that give any
            number.
        column: the input's own name of the column that tells partitions apart; None where all rows are one.
    """

    kind: Literal["table", "partitioned"]
    column: str | None

    @property
    def reduces(self) -> bool:
        """Whether a partition has another number of rows in the output."""
        return self.kind == "partitioned"


def partitioning_of(request: JobRequest) -> Partitioning | None:
    """The partitions of a job; None where its function runs row by row."""
    if request.function_kind == "partitioned":
        return Partitioning("partitioned", request.partition_column)
    if request.partition_column is not None:
        return Partitioning("table", request.partition_column)
    return None


def kept_columns(schema: pa.Schema, partitioning: Partitioning | None) -> pa.Schema:
    """The columns of the input that stand in the output.

    Example:
        >>> schema = pa.schema({"region": pa.string(), "price": pa.float64()})
        >>> kept_columns(schema, Partitioning("partitioned", "region")).names
        ['region']
        >>> kept_columns(schema, Partitioning("partitioned", None)).names, kept_columns(schema, None).names
        ([], ['region', 'price'])
    """
    if partitioning is None or not partitioning.reduces:
        return schema
    return pa.schema([] if partitioning.column is None else [schema.field(partitioning.column)])
