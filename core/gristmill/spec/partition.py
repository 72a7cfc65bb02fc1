"""A partition in a path."""

from urllib.parse import quote

__all__ = ["path_of"]

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
