"""Values of params as JSON can hold them: bytes and moments are told from text, and come back as they were."""

import base64
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

__all__ = ["param_from_plain", "param_to_plain"]

_MARK = "$gristmill."

_READ: dict[str, Callable[[str], Any]] = {
    "bytes": base64.b64decode,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda text: timedelta(microseconds=int(text)),
    "decimal": Decimal,
}


def _text(value: Any) -> tuple[str, str] | None:
    if isinstance(value, bytes):
        return "bytes", base64.b64encode(value).decode()
    if isinstance(value, datetime):  # which is a date too
        return "datetime", datetime.isoformat(value)
    if isinstance(value, date | time):
        return "date" if isinstance(value, date) else "time", value.isoformat()
    if isinstance(value, timedelta):
        return "timedelta", str(value // timedelta(microseconds=1))
    return ("decimal", str(value)) if isinstance(value, Decimal) else None


def param_to_plain(value: Any) -> Any:
    """A value as JSON has it, at any depth.

    Example:
        >>> param_to_plain({"mark": b"ab", "top": 3})
        {'mark': {'$gristmill.bytes': 'YWI='}, 'top': 3}
    """
    if isinstance(value, Mapping):
        return {key: param_to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [param_to_plain(item) for item in value]
    written = _text(value)
    return value if written is None else {_MARK + written[0]: written[1]}


def param_from_plain(value: Any) -> Any:
    """What `param_to_plain` was given, but for tuples, which come back as lists.

    Example:
        >>> param_from_plain({"mark": {"$gristmill.bytes": "YWI="}, "top": 3})
        {'mark': b'ab', 'top': 3}
    """
    if isinstance(value, list):
        return [param_from_plain(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if len(value) == 1:
        ((key, text),) = value.items()
        read = _READ.get(str(key).removeprefix(_MARK)) if str(key).startswith(_MARK) else None
        if read is not None and isinstance(text, str):
            return read(text)
    return {key: param_from_plain(item) for key, item in value.items()}
