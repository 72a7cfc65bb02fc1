"""What a contestant wrote: that every row is there, and a checksum of the predictions."""

import hashlib
from pathlib import Path
from typing import Any

from benchmarks.workloads.workload import Dataset

__all__ = ["WrongOutputError", "checksum", "responses"]


RESPONSE = "response"


class WrongOutputError(Exception):
    """An output that is not what the workload asks for."""


def checksum(output: Path, dataset: Dataset) -> str:
    """A digest of the predictions in the order of their ids.

    Raises:
        WrongOutputError: an id is missing or stands there twice, an input column is not passed through, or there is not
            exactly one new column.
    """
    return hashlib.sha256(_predictions(output, dataset)).hexdigest()[:16]


def responses(output: Path, dataset: Dataset) -> list[str]:
    """Answers of chats in the order of their ids.

    Raises:
        WrongOutputError: as for `checksum`.
    """
    return [str(answer) for answer in _predictions(output, dataset, as_bytes=False)]


def _predictions(output: Path, dataset: Dataset, *, as_bytes: bool = True) -> Any:
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    parts = sorted(path for path in output.rglob("*.parquet") if not path.relative_to(output).parts[0].startswith("_"))
    if not parts:
        raise WrongOutputError("there is no Parquet file")
    names = pq.read_schema(parts[0]).names
    missing = set(dataset.columns) - set(names)
    added = [name for name in names if name not in dataset.columns]
    if RESPONSE in added:
        added = [RESPONSE]  # a chat's answer has more columns, which are not the same for everybody
    if missing or len(added) != 1:
        raise WrongOutputError(f"its columns are {names}")
    table = ds.dataset([str(part) for part in parts]).to_table(columns=["id", added[0]])
    values = _in_order(table["id"].to_numpy(), table[added[0]].combine_chunks(), dataset.rows, pa)
    return "\n".join(values).encode() if as_bytes and isinstance(values, list) else values


def _in_order(ids: Any, predictions: Any, rows: int, pa: Any) -> Any:
    import numpy as np

    if len(ids) != rows:
        raise WrongOutputError(f"it has {len(ids)} rows, not {rows}")
    order = np.argsort(ids, kind="stable")
    if not np.array_equal(ids[order], np.arange(rows)):
        raise WrongOutputError("an id is missing or stands there twice")
    if predictions.null_count:
        raise WrongOutputError(f"{predictions.null_count} predictions are null")
    if pa.types.is_integer(predictions.type):
        return np.ascontiguousarray(predictions.to_numpy()[order], np.int64)
    return predictions.take(pa.array(order)).to_pylist()
