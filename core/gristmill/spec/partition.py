"""A partition in a path."""

from urllib.parse import quote, unquote

from gristmill.errors import SpecError

__all__ = ["partition_in", "path_of"]

_PLAIN = frozenset(" !'()+,-.:=@_|~")
"""Characters, besides letters and digits of any script, that a partition may have in a path; the rest is
percent-encoded, so that no two become one."""
_LONGEST = 255
"""Bytes that the name of a file or folder may have."""


def path_of(partition: str) -> str:
    """A partition as one segment of a path, as `{{ partition }}` stands in templates.

    Raises:
        SpecError: it is too long for the name of a folder.

    Example:
        >>> path_of("2026-01-01"), path_of("../eu/2026"), path_of("_x"), path_of("münchen")
        ('2026-01-01', '%2E.%2Feu%2F2026', '%5Fx', 'münchen')
    """
    encoded = "".join(
        character if character in _PLAIN or character.isalnum() else quote(character, safe="", errors="surrogatepass")
        for character in partition
    )
    if encoded[:1] in ("_", "."):  # hidden files, to all readers, and the folder above
        encoded = f"%{ord(encoded[0]):02X}{encoded[1:]}"
    size = len(encoded.encode())
    if size > _LONGEST:
        raise SpecError(
            f"partition: {partition[:40]!r}... makes a name of {size} bytes in a path, and {_LONGEST} is the most; give"
            " a shorter key"
        )
    return encoded


def partition_in(segment: str) -> str:
    """The partition that a segment of a path stands for: the other way round. Other tools' names stand for themselves.

    Example:
        >>> partition_in("2026-01-01"), partition_in("%2E.%2Feu%2F2026"), partition_in("100%")
        ('2026-01-01', '../eu/2026', '100%')
    """
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError:
        return segment
