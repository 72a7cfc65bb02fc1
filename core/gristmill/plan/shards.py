"""The plan as data: shards, each a range of input rows."""

from dataclasses import dataclass

__all__ = ["Shard", "Slice"]


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows of one file.

    Attributes:
        location: the file.
        size: its bytes when planned.
        version: its version when planned (see `FileInfo`); another one when it is read is an error.
        groups: first and last-plus-one row group, for Parquet; None for the whole file.
        start: rows to skip, counted from the first row of `groups`.
        rows: how many rows to take; None for all, where the plan has not looked into the file.
    """

    location: str
    size: int
    version: str
    groups: tuple[int, int] | None = None
    start: int = 0
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Shard:
    """A range of input rows: the unit of work, of commit and of resume.

    Attributes:
        index: its place in the input's order, from 0.
        slices: where its rows stand, in order.
    """

    index: int
    slices: tuple[Slice, ...]

    @property
    def rows(self) -> int | None:
        """How many rows; None when a slice's count is not known before it is read."""
        total = 0
        for part in self.slices:
            if part.rows is None:
                return None
            total += part.rows
        return total

    @property
    def bytes(self) -> int:
        """Bytes of the files it touches, for balance and progress."""
        return sum(part.size for part in self.slices)
