"""Whether the files that a manifest names are there, as they were published."""

from gristmill.outputs.manifest import Manifest
from gristmill.storage.location import join
from gristmill.storage.storage import Storage

__all__ = ["flaw_of_files"]


def flaw_of_files(storage: Storage, location: str, manifest: Manifest) -> str | None:
    """What is wrong with the files of an output, by a listing alone: the first one that is damaged, or missing.

    None where each is there in its size. Files that the manifest does not name do not count.
    """
    wanted = {file.path: file.bytes for file in manifest.files}
    for info in storage.list(location):
        path = info.location[len(location) :].lstrip("/")
        size = wanted.pop(path, None)
        if size is not None and size != info.size:
            return f"{info.location!r} has {info.size} bytes, the manifest says {size}: it was changed after the job"
    if not wanted:
        return None
    return (
        f"{join(location, min(wanted))!r} is missing, and the manifest names it ({len(wanted)} of "
        f"{len(manifest.files)} files are): they were removed after the job"
    )
