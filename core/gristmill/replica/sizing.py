"""How many rows one call to a batch model takes."""

from dataclasses import dataclass

__all__ = ["BatchSizer"]

_FIRST = 1_024
_LARGEST = 65_536
_QUICK = 0.05
_SLOW = 2.0


@dataclass(slots=True)
class BatchSizer:
    """Sizes batches: the user's bound as it is, or one that grows while calls are quick.

    A call has a fixed cost, so tiny batches are wasteful; a huge one holds results back and memory. The size grows
    fourfold while a full call takes under 50 ms, and halves when one takes over 2 s.

    Args:
        fixed: the user's `max_batch_rows`, or None.

    Example:
        >>> sizer = BatchSizer(None)
        >>> sizer.record(rows=sizer.rows, seconds=0.001)
        >>> sizer.rows
        4096
    """

    fixed: int | None
    _rows: int = _FIRST

    @property
    def rows(self) -> int:
        """Rows of the next call, at most."""
        return self._rows if self.fixed is None else self.fixed

    @property
    def read_rows(self) -> int:
        """Rows to read at once, so that full batches fit."""
        if self.fixed is None:
            return _LARGEST
        return self.fixed * max(1, _LARGEST // self.fixed)

    def record(self, *, rows: int, seconds: float) -> None:
        """Learn from a call that took `seconds` for `rows`."""
        if rows < self._rows:
            return
        if seconds < _QUICK:
            self._rows = min(_LARGEST, self._rows * 4)
        elif seconds > _SLOW:
            self._rows = max(1, self._rows // 2)
