"""SQL types written as text, in DuckDB's spelling or that of warehouses."""

import json
import re
import threading
from functools import lru_cache
from typing import Any

from gristmill.errors import SpecError

__all__ = ["duckdb_spelling", "parsed_type", "reads_json"]

_TOKEN = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\w+|\s+|.")
_NAMES = {"NUMBER": "BIGINT", "OBJECT": "JSON", "ARRAY": "JSON[]", "VARIANT": "JSON"}
_WITH_ARGUMENTS = {"NUMBER": "DECIMAL", "OBJECT": "STRUCT"}
_LOCK = threading.Lock()


def duckdb_spelling(text: str) -> str:
    """A type in DuckDB's spelling: `OBJECT(...)` is `STRUCT(...)`, `ARRAY(X)` is `X[]`, `NUMBER(p, s)` is `DECIMAL(p, s)`.

    Example:
        >>> duckdb_spelling("TYPE OBJECT(name STRING NOT NULL, tags ARRAY(STRING), age NUMBER)")
        'STRUCT(name STRING, tags STRING[], age BIGINT)'
    """  # noqa: E501 - one line
    words = [text for text in _TOKEN.findall(" ".join(text.split())) if text]
    if len(words) > 2 and words[0].upper() == "TYPE":
        words = words[2:]
    made, _ = _spelled(words, 0)
    return re.sub(r"\s+([,)])", r"\1", made).strip()


def _spelled(words: list[str], at: int) -> tuple[str, int]:
    """The words from `at` up to the closing bracket of their level."""
    made = ""
    named = False  # after the name of a field, where a type stands
    while at < len(words) and words[at] != ")":
        text = words[at]
        word = text.upper()
        following = words[at + 1] if at + 1 < len(words) else ""
        if word == "NOT" and [item.upper() for item in words[at + 1 : at + 3] if item.strip()] == ["NULL"]:
            at += 3
            made = made.rstrip()
            continue
        if following == "(":
            inner, end = _spelled(words, at + 2)
            made += f"{inner.strip()}[]" if word == "ARRAY" else f"{_WITH_ARGUMENTS.get(word, text)}({inner.strip()})"
            at = end + 1
            continue
        is_type = named or (not made.strip() and following in ("", ")"))
        made += _NAMES.get(word, text) if is_type else text
        if text == ",":
            named = False
        elif text == " " and made.strip() and not made.rstrip().endswith(","):
            named = True
        at += 1
    return made, at


def parsed_type(text: str, *, field: str) -> Any:
    """The type as DuckDB has it.

    Raises:
        SpecError: it is none; names the field.
    """
    import duckdb

    with _LOCK:
        try:
            return _connection().sqltype(duckdb_spelling(text))
        except duckdb.Error as error:
            problem = str(error).splitlines()[0]
            raise SpecError(
                f"{field}: {text[:80]!r} is neither a JSON schema nor a SQL type such as "
                f"'STRUCT(name VARCHAR, age INTEGER)': {problem}"
            ) from None


def reads_json(text: str, kind: str) -> bool:
    """Whether DuckDB reads JSON as a type, and not as NULL."""
    query = "SELECT from_json($1, $2) IS NOT NULL"
    with _LOCK:
        return bool(_connection().execute(query, [text, json.dumps(kind)]).fetchall()[0][0])


@lru_cache(maxsize=1)
def _connection() -> Any:
    """A connection of our own: a query's own cannot be used within the query."""
    import duckdb

    return duckdb.connect(":memory:")
