"""Results of small partitions, handed on together."""

import time
from collections.abc import Iterator

import pyarrow as pa

from gristmill.replica.inference import Covered, Result
from gristmill.spec.row_error import RowError

__all__ = ["Joined"]

_ROWS = 8_192
_BYTES = 16 * 1024**2
_SECONDS = 1.0


class Joined:
    """Consecutive partitions without a failure, until they are worth a result.

    Args:
        reduces: whether partitions have other numbers of rows in the output.
    """

    def __init__(self, *, reduces: bool) -> None:
        self._reduces = reduces
        self._clear()

    def _clear(self) -> None:
        self._start = self._taken = self._partitions = self._height = self._bytes = 0
        self._rows: list[pa.RecordBatch] = []
        self._outputs: list[pa.RecordBatch] = []
        self._errors: dict[int, RowError] = {}
        self._since = time.monotonic()

    def add(
        self,
        start: int,
        taken: int,
        rows: pa.RecordBatch,
        outputs: pa.RecordBatch | None,
        errors: dict[int, RowError],
    ) -> Iterator[Result]:
        """Add a partition; what is worth it by now comes out.

        Args:
            start: its first row's place within the shard.
            taken: how many rows it has.
            rows: what of them stands in the output.
            outputs: the function's outputs; None where there are none.
            errors: of rows of the output.
        """
        if outputs is not None and self._outputs and not outputs.schema.equals(self._outputs[0].schema):
            yield from self.flush()
        if not self._partitions:
            self._start = start
        self._errors |= {self._height + place: error for place, error in errors.items()}
        self._partitions += 1
        self._taken += taken
        if outputs is not None or not self._rows:
            self._rows.append(rows)
        if outputs is not None:
            self._outputs.append(outputs)
            self._height += outputs.num_rows
            self._bytes += outputs.nbytes + (0 if self._reduces else rows.nbytes)  # else they are keys
        is_large = self._taken + self._height >= _ROWS or self._bytes >= _BYTES
        if is_large or time.monotonic() - self._since > _SECONDS:
            yield from self.flush()

    def flush(self, *, cut: bool = False) -> Iterator[Result]:
        """What has come together, if anything has; `cut` as in `Result`."""
        if not self._partitions:
            return
        rows = self._rows[0] if len(self._rows) == 1 else _concatenated(self._rows)
        outputs = pa.concat_batches(self._outputs) if self._outputs else None
        covered = Covered(self._taken, self._partitions, self._height if self._reduces else None)
        result = Result(self._start, rows, outputs, self._errors, cut=cut, covered=covered)
        self._clear()
        yield result


def _concatenated(rows: list[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.concat_batches(rows) if rows[0].num_columns else rows[0]
