"""`FileInfo`: one file of a listing."""

from dataclasses import dataclass

__all__ = ["FileInfo"]


@dataclass(frozen=True, slots=True)
class FileInfo:
    """One file of a listing.

    Attributes:
        location: the normal location.
        size: bytes.
        version: what changes when the content does: the ETag of an object store, the modification time in nanoseconds
            of a local file; empty where the storage tells neither.
    """

    location: str
    size: int
    version: str
