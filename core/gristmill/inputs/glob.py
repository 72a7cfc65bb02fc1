"""Globs over any storage: `*`, `?` and `[...]` within a name, `**` over any number of folders."""

import re
from collections.abc import Iterator

from gristmill.storage.location import join
from gristmill.storage.storage import FileInfo, Storage

__all__ = ["expand", "has_magic"]

_MAGIC = re.compile(r"[*?\[]")


def has_magic(location: str) -> bool:
    """Whether a location holds characters that make it a glob."""
    return _MAGIC.search(location) is not None


def expand(storage: Storage, pattern: str) -> Iterator[FileInfo]:
    """The files that match, or that stand below a folder that matches, in the order of their paths.

    Only folders that can hold a match are listed. Names that begin with `_` or `.` match where the pattern spells out
    that character.
    """
    head, *segments = _segments(pattern)
    yield from _below(storage, head, segments)


def _segments(pattern: str) -> list[str]:
    """The part without magic, then one segment for each name."""
    parts = pattern.split("/")
    first = next(at for at, part in enumerate(parts) if has_magic(part))
    return ["/".join(parts[:first]) or "/", *parts[first:]]


def _below(storage: Storage, folder: str, segments: list[str]) -> Iterator[FileInfo]:
    segment, *rest = segments
    if segment == "**":
        matches = _deep(segments)
        yield from (info for info in storage.list(folder) if matches.match(info.location, len(folder.rstrip("/")) + 1))
        return
    if not has_magic(segment):
        path = join(folder, segment)
        yield from _below(storage, path, rest) if rest else _whole(storage, path)
        return
    name = re.compile(_name(segment))
    folders, files = storage.entries(folder)
    if not rest:
        yield from sorted(
            [
                *(info for info in files if name.fullmatch(info.location.rpartition("/")[2])),
                *(
                    info
                    for path in folders
                    if name.fullmatch(path.rpartition("/")[2])
                    for info in _whole(storage, path)
                ),
            ],
            key=lambda info: info.location.split("/"),
        )
        return
    for path in folders:
        if name.fullmatch(path.rpartition("/")[2]):
            yield from _below(storage, path, rest)


def _whole(storage: Storage, location: str) -> Iterator[FileInfo]:
    """A file, or all of a folder."""
    for info in storage.list(location):
        below = info.location[len(location) :]
        if "/_" not in below and "/." not in below:
            yield info


def _deep(segments: list[str]) -> re.Pattern[str]:
    """What a path below the folder must look like for segments that begin with `**`."""
    parts = [r"(?:[^/_.][^/]*/)*" if segment == "**" else _name(segment) + "/" for segment in segments]
    if segments[-1] == "**":
        return re.compile("".join(parts) + r"[^/_.][^/]*$")
    return re.compile("".join(parts)[:-1] + r"(?:/[^/_.][^/]*)*$")


def _name(segment: str) -> str:
    """One name's pattern."""
    text = "" if segment.startswith(("_", ".")) or not has_magic(segment[:1]) else r"(?![_.])"
    at = 0
    while at < len(segment):
        char = segment[at]
        close = segment.find("]", at + 2) if char == "[" else -1
        if char == "*":
            text += "[^/]*"
        elif char == "?":
            text += "[^/]"
        elif close > 0:
            inner = segment[at + 1 : close].replace("\\", "\\\\").replace("[", "\\[")
            text += f"(?!/)[{'^' + inner[1:] if inner.startswith('!') else inner}]"
            at = close
        else:
            text += re.escape(char)
        at += 1
    return text
