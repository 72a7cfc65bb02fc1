"""`Block`: some rows on their way through a replica."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from gristmill.spec.row_error import RowError

__all__ = ["Block"]


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows of one shard, between reading and writing.

    Attributes:
        shard: the shard's index.
        start: the first row's place within the shard.
        rows: the rows as they were read; they pass through to the output. Shape: (n rows, input columns).
        model_rows: the rows as the model receives them, file columns replaced by content; also n rows.
        errors: the rows that have failed so far, by position in the block (0 to n-1). The model never sees them.
    """

    shard: int
    start: int
    rows: pa.RecordBatch
    model_rows: pa.RecordBatch
    errors: Mapping[int, RowError] = field(default_factory=dict)
