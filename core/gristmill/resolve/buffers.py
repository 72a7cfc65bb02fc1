"""Memory for content, used again and again."""

import sys

__all__ = ["BufferPool"]

_KEPT = 6
_REFERENCES = 3
"""To a buffer that nobody uses: the pool's list, the loop's name, the argument of `getrefcount`."""


class BufferPool:
    """Hands out memory for blocks of content, and takes it back by itself once no array stands in it any more.

    Fresh memory costs a page fault every 4 KiB, which for large files is more than reading them.

    Example:
        >>> pool = BufferPool()
        >>> first = pool.take(100)
        >>> view = memoryview(first)
        >>> del first
        >>> pool.take(50).obj is view.obj
        False
    """

    def __init__(self) -> None:
        self._buffers: list[bytearray] = []

    def take(self, size: int) -> memoryview:
        """At least `size` bytes of any content; theirs for as long as this view, or an array over it, lives."""
        best: bytearray | None = None
        for buffer in self._buffers:
            if sys.getrefcount(buffer) > _REFERENCES or len(buffer) < size:
                continue
            if best is None or len(buffer) < len(best):
                best = buffer
        if best is None:
            best = bytearray(size)
            self._buffers.append(best)
            if len(self._buffers) > _KEPT:
                self._buffers.pop(0)
        return memoryview(best)
