"""`Supply`: what cells get their content from."""

from dataclasses import dataclass

from gristmill.resolve.buffers import BufferPool
from gristmill.resolve.window import Fetch, FetchWindow
from gristmill.storage.access import AccessPolicy

__all__ = ["Supply"]


@dataclass(frozen=True, slots=True)
class Supply:
    """What the cells of a block get their content from, and the bounds on it.

    Attributes:
        access: what the rows may open.
        window: fetches what is not on this machine; asked at once.
        buffers: gives the memory for content.
        fetch_local: let the window fetch local files too.
        max_file_bytes: a larger file is a row error.
        target_bytes: a block is cut when its content passes this.
    """

    access: AccessPolicy
    window: FetchWindow
    buffers: BufferPool
    fetch_local: bool
    max_file_bytes: int
    target_bytes: int

    def source(self, location: str) -> str | Fetch:
        """How an allowed location is read: a path on the spot, or a file that is being fetched from now on."""
        if location[0] == "/" and not self.fetch_local:
            return location
        return self.window.request(location)
