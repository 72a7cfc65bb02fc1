"""What stands at an output location."""

import os
from collections.abc import Iterator

from gristmill.outputs.layout import PRIVATE, is_stray
from gristmill.storage.location import is_local
from gristmill.storage.storage import Storage

__all__ = ["contents"]


def contents(storage: Storage, location: str) -> Iterator[str]:
    """The files at a location, at any depth, outside Gristmill's own folder, as paths relative to it.

    On a local disk a link is a file, wherever it points: replacing an output removes the link and follows it nowhere.
    """
    if is_local(location):
        yield from _walk(location, "")
        return
    for info in storage.list(location):
        path = info.location[len(location) :].lstrip("/")
        if path and not path.startswith(f"{PRIVATE}/"):
            yield path


def _walk(folder: str, prefix: str) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        path = prefix + entry.name
        if entry.is_dir(follow_symlinks=False):
            if path != PRIVATE:
                yield from _walk(entry.path, f"{path}/")
        elif not is_stray(path):
            yield path
