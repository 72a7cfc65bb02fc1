"""`ShardProgress`: which rows of which shards are committed, in flat memory."""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field

from gristmill.outputs.commit import Commit

__all__ = ["ShardProgress"]


@dataclass(slots=True)
class _Partial:
    ranges: list[tuple[int, int]] = field(default_factory=list)
    end: int | None = None


class ShardProgress:
    """Which rows are committed, and which commits count.

    One byte for each shard; only shards that are covered in part take more.

    Args:
        shards: how many shards the plan has.

    Attributes:
        completed: how many shards are complete.
        rows: rows committed.
        errors: failed rows among them.

    Example:
        >>> progress = ShardProgress(2)
        >>> whole = Commit(0, start=0, rows=5, file="a.parquet", bytes=9, errors=0, schema="s", last=True)
        >>> middle = Commit(1, start=2, rows=3, file="b.parquet", bytes=9, errors=0, schema="s", last=False)
        >>> progress.accept(whole), progress.accept(middle), progress.accept(whole)
        (True, True, False)
        >>> progress.uncovered(0), progress.uncovered(1)
        ([], [(0, 2), (5, None)])
    """

    def __init__(self, shards: int) -> None:
        self.shards = shards
        self.completed = 0
        self.rows = 0
        self.errors = 0
        self._complete = bytearray(shards)
        self._partial: dict[int, _Partial] = {}

    @property
    def all_complete(self) -> bool:
        """Whether every row of every shard is committed."""
        return self.completed == self.shards

    def is_complete(self, shard: int) -> bool:
        """Whether every row of a shard is committed."""
        return bool(self._complete[shard])

    def pending(self) -> Iterator[int]:
        """The shards that are not complete, in order."""
        at = self._complete.find(0)
        while at >= 0:
            yield at
            at = self._complete.find(0, at + 1)

    def uncovered(self, shard: int) -> list[tuple[int, int | None]]:
        """The row ranges of a shard that are not committed, in order: first and last-plus-one.

        The last-plus-one is None where the range goes to the shard's end and that is not known from a commit.
        """
        if self._complete[shard]:
            return []
        partial = self._partial.get(shard, _Partial())
        gaps: list[tuple[int, int | None]] = []
        at = 0
        for start, end in partial.ranges:
            if start > at:
                gaps.append((at, start))
            at = end
        if partial.end is None or at < partial.end:
            gaps.append((at, partial.end))
        return gaps

    def accept(self, commit: Commit) -> bool:
        """Count a commit; the first to cover a row wins.

        Returns:
            Whether it counts. One that covers a row that is covered already, or contradicts where the shard ends, does
            not: its part must not be published.

        Raises:
            ValueError: the plan has no such shard, or the range is none.
        """
        shard, start, end = commit.shard, commit.start, commit.start + commit.rows
        if not 0 <= shard < self.shards or start < 0 or commit.rows < 0:
            raise ValueError(f"{commit} does not fit a plan of {self.shards} shards")
        if self._complete[shard]:
            return False
        if start == 0 and commit.last and shard not in self._partial:
            self._complete[shard] = 1
            self.completed += 1
        elif not self._accept_range(shard, start, end, last=commit.last):
            return False
        self.rows += commit.rows
        self.errors += commit.errors
        return True

    def _accept_range(self, shard: int, start: int, end: int, *, last: bool) -> bool:
        partial = self._partial.get(shard) or _Partial()
        covered = partial.ranges[-1][1] if partial.ranges else 0
        if start == end and not last:
            return False
        if partial.end is not None and (last or end > partial.end):
            return False
        if last and covered > end:
            return False
        if start < end:
            if any(start < other_end and other_start < end for other_start, other_end in partial.ranges):
                return False
            insort(partial.ranges, (start, end))
        if last:
            partial.end = end
        self._partial[shard] = partial
        if not self._gaps(partial):
            self._complete[shard] = 1
            self.completed += 1
            del self._partial[shard]
        return True

    @staticmethod
    def _gaps(partial: _Partial) -> bool:
        if partial.end is None:
            return True
        return sum(end - start for start, end in partial.ranges) < partial.end
