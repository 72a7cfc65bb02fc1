"""`ShardPolicy`: how large shards are."""

from dataclasses import dataclass

__all__ = ["ShardPolicy"]


@dataclass(frozen=True, slots=True)
class ShardPolicy:
    """Bounds on shards.

    Attributes:
        max_bytes: bytes of input in one shard; a larger row group or file is a shard of its own, unless it
            is several times as large and can be cut.
        max_rows: rows in one shard; a longer row group is cut. The default is the row group that pyarrow writes.
        parallelism: workers of the job; there are at least four shards for each, where there are rows enough.
        min_rows: shards are not made smaller than this for the sake of `parallelism`.
        max_files: files in one shard.
    """

    max_bytes: int = 64 * 1024**2
    max_rows: int = 1024**2
    parallelism: int = 1
    min_rows: int = 1_000
    max_files: int = 1_000

    def target_rows(self, total: int) -> int:
        """Rows of a shard, for an input of `total` rows.

        Example:
            >>> ShardPolicy(parallelism=2).target_rows(80_000)
            10000
        """
        share = -(-total // (4 * max(1, self.parallelism)))
        return max(1, min(self.max_rows, max(share, self.min_rows)))
