"""Numbers, times and untrusted text as people read them. Pure functions."""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

__all__ = ["age", "brief", "cell", "count", "cut", "duration", "one_line", "plain", "printable", "scrubbed", "size"]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_CREDENTIALS = re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)")


def printable(text: str) -> str:
    r"""`text` without what a terminal would obey: rows and logs are not ours, and may hold escape sequences.

    Example:
        >>> printable("a\x1b[2Jb")
        'a\\x1b[2Jb'
    """
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def scrubbed(text: str) -> str:
    """Printable text, with the user and password of any URL in it taken out."""
    return _CREDENTIALS.sub("***", printable(text))


def one_line(text: str) -> str:
    """Printable text on a single line."""
    return printable(" ".join(text.split()))


def cut(text: str, limit: int) -> str:
    """At most `limit` characters, the last an ellipsis where some are missing."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)].rstrip() + "…"


def count(number: float, noun: str = "") -> str:
    """A count with thousands separated, and its noun in the right number.

    Example:
        >>> count(1, "row"), count(12000, "row")
        ('1 row', '12,000 rows')
    """
    text = f"{number:,.0f}"
    return f"{text} {noun}{'' if number == 1 else 's'}" if noun else text


def brief(number: float) -> str:
    """A count in at most seven characters.

    Example:
        >>> brief(899_000), brief(12_340_000), brief(2.5e9)
        ('899,000', '12.3M', '2.5G')
    """
    if number < 999_999.5:
        return f"{number:,.0f}"
    return f"{number / 1e6:.1f}M" if number < 999.95e6 else f"{number / 1e9:,.1f}G"


def size(number: float) -> str:
    """Bytes in decimal units.

    Example:
        >>> size(999), size(1_234_567)
        ('999 B', '1.2 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.0f} B" if unit == "B" else f"{number:.{1 if number < 99.95 else 0}f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB"


def duration(seconds: float) -> str:
    """A length of time in at most two units.

    Example:
        >>> duration(0.32), duration(75), duration(7300)
        ('0.3 s', '1 min 15 s', '2 h 01 min')
    """
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 2 * 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} days"


def age(then: datetime, now: datetime) -> str:
    """How long ago, roughly.

    Example:
        >>> age(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 3, tzinfo=UTC))
        '3 h ago'
    """
    seconds = max((now - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds(), 0)
    for limit, per, unit in ((60, 1, "s"), (3600, 60, "min"), (2 * 86400, 3600, "h"), (math.inf, 86400, "days")):
        if seconds < limit:
            return f"{seconds // per:.0f} {unit} ago"
    return ""


def cell(value: Any, limit: int = 40) -> str:
    """One value of a table: binary as its size, nested values as cut JSON, text on one line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{size(len(value))}>"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, list) and len(value) > 4:
        head = ", ".join(cell(item, 12) for item in value[:3])
        return cut(f"[{head}, … {len(value):,} in all]", limit)
    if isinstance(value, list | dict | tuple):
        return cut(one_line(json.dumps(plain(value, for_people=True), ensure_ascii=False)), limit)
    return cut(one_line(str(value)), limit)


def plain(value: Any, *, for_people: bool = False) -> Any:
    """`value` as JSON can say it: bytes as base64 (for people, their size), times in ISO form, NaN as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item, for_people=for_people) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, for_people=for_people) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        import base64

        return f"<{size(len(value))}>" if for_people else base64.b64encode(value).decode("ascii")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value) if isinstance(value, Decimal) else str(getattr(value, "value", value))
