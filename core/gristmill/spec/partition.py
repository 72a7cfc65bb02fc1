"""A partition in a path."""

from urllib.parse import quote, unquote

__all__ = ["partition_in", "path_of"]

_PLAIN = " !'()+,-.:=@_|~"
"""Characters that a partition may have in a path; the rest is percent-encoded, so that no two become one."""


def path_of(partition: str) -> str:
    """A partition as one segment of a path, as `{{ partition }}` stands in templates.

    Example:
        >>> path_of("2026-01-01"), path_of("../eu/2026"), path_of("_x")
        ('2026-01-01', '%2E.%2Feu%2F2026', '%5Fx')
    """
    encoded = quote(partition, safe=_PLAIN)
    # hidden files, to all readers, and the folder above
    return f"%{ord(encoded[0]):02X}{encoded[1:]}" if encoded[:1] in ("_", ".") else encoded


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
