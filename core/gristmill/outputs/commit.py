"""`Commit`: rows whose results stand in a part; `CommitLog`: which of them a job has."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from gristmill.errors import ConflictError, OutputError
from gristmill.outputs.layout import commits_of
from gristmill.storage.location import join
from gristmill.storage.storage import Storage

if TYPE_CHECKING:
    from gristmill.outputs.progress import ShardProgress

__all__ = ["Commit", "CommitLog"]

_VERSION = 1
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class Commit(NamedTuple):
    """Rows of a shard whose results stand in a part.

    Attributes:
        shard: the shard's index.
        start: the first row's place in the shard.
        rows: how many rows; the commit covers `start` to `start + rows`.
        file: the part's name in the staging folder's `parts/`; None when there are no rows.
        bytes: the part's size.
        errors: failed rows among them.
        schema: the digest of the part's schema (see `schema_digest`); empty when there is no part.
        last: whether it reaches the shard's end.
        metrics: sums over its rows, such as tokens by kind.
        partitions: how many partitions the rows are; 0 where they are none.
        written: rows in the part, where these are not the `rows` of the input.
    """

    shard: int
    start: int
    rows: int
    file: str | None
    bytes: int
    errors: int
    schema: str
    last: bool
    metrics: Mapping[str, float] = {}
    partitions: int = 0
    written: int | None = None

    @property
    def height(self) -> int:
        """Rows in the part."""
        return self.rows if self.written is None else self.written


class CommitLog:
    """The commits of a job, in its staging folder; only the job's runner appends.

    Each append is one segment, `commits/<generation>-<number>.json`, written atomically: it is there whole or not at
    all.

    Args:
        storage: where.
        staging: the job's staging folder.
        generation: the runner's; a later runner of the same job has a higher one.

    Example:
        >>> from gristmill.settings import Settings
        >>> log = CommitLog(Storage(Settings.load()), "memory:///out/_gristmill/job-1", generation=1)
        >>> log.append([Commit(0, 0, 5, "a.parquet", 9, 0, "s", True)])
    """

    def __init__(self, storage: Storage, staging: str, *, generation: int) -> None:
        self._storage = storage
        self._folder = commits_of(staging)
        self._generation = generation
        self._next = 0

    def append(self, commits: Sequence[Commit]) -> None:
        """Add commits; they are durable when this returns.

        Raises:
            ConflictError: another runner has this generation.
        """
        if not commits:
            return
        name = f"{self._generation:06d}-{self._next:08d}.json"
        data = _encode({"version": _VERSION, "commits": [_plain(commit) for commit in commits]}).encode()
        try:
            self._storage.write_bytes(join(self._folder, name), data, exclusive=True)
        except FileExistsError:
            raise ConflictError(
                f"commit segment {name!r} exists already: another runner is generation {self._generation} of this job"
            ) from None
        self._next += 1

    def segments(self) -> Iterator[Sequence[Commit]]:
        """Every segment of every generation, in order, as it was appended.

        Raises:
            OutputError: a segment is damaged; the message names it.
        """
        for info in self._storage.list(self._folder):
            if info.location.endswith(".json"):
                yield _decode(info.location, self._storage.read_bytes(info.location))

    def load(self, progress: "ShardProgress", *, with_errors: bool = True) -> Iterator[Commit]:
        """The commits that count; `progress` counts them on the way.

        Those without failed rows come first, in the order in which they were appended, then the others, newest first:
        rows that were done again count as they are now.

        Args:
            progress: which rows are covered.
            with_errors: whether commits with failed rows count at all.

        Raises:
            OutputError: a segment is damaged, or speaks of a shard that the plan does not have.
        """
        failed: list[Commit] = []
        for segment in self.segments():
            for commit in segment:
                if commit.errors:
                    failed.append(commit)
                elif self._accepted(progress, commit):
                    yield commit
        for commit in reversed(failed if with_errors else []):
            if self._accepted(progress, commit):
                yield commit

    def _accepted(self, progress: "ShardProgress", commit: Commit) -> bool:
        try:
            return progress.accept(commit)
        except ValueError as error:
            raise OutputError(f"{self._folder}: {error}; the staging folder belongs to another plan") from error

    def in_order(self, shards: int) -> Iterator[Commit]:
        """The commits that count, by shard and row: what `publish` takes.

        Raises:
            OutputError: see `load`.
        """
        from gristmill.outputs.order import sort_commits  # both need Commit
        from gristmill.outputs.progress import ShardProgress

        yield from sort_commits(self.load(ShardProgress(shards)))


def _plain(commit: Commit) -> Sequence[object]:
    """Without what only partitions have, where there are none: the same as ever."""
    return commit if commit.partitions or commit.written is not None else commit[:9]


def _decode(location: str, data: bytes) -> Sequence[Commit]:
    try:
        document = json.loads(data)
        version, rows = document["version"], document["commits"]
        commits = [Commit(*row) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise OutputError(
            f"commit segment {location!r} is damaged ({error}); cancel and delete the job, then run it again"
        ) from error
    if version != _VERSION:
        raise OutputError(f"commit segment {location!r} has version {version}; this Gristmill reads {_VERSION}")
    return commits
