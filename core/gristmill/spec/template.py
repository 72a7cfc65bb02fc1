"""`Template`: a text with `{fields}`, filled for each partition, or found again in a path."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from gristmill.errors import SpecError

__all__ = ["Template"]

_FIELD = re.compile(r"\{\{|\}\}|\{([A-Za-z_]\w*)(?::([^{}]*))?\}")
_SEGMENT = "[^/]+"


class Template:
    r"""A text with fields such as `{partition}`, or `{start:%Y/%m/%d}` for a moment in the form of `strftime`.

    Only a name in braces is a field: regular expressions (`\d{4}`) and structs of SQL (`{'a': 1}`) stand as they are.
    `{{` and `}}` are braces themselves.

    Args:
        text: the text.
        what: the name of the field that it was given as, for errors.

    Example:
        >>> Template("s3://lake/{region}/{start:%Y/%m}", what="location").fields
        ('region', 'start')
    """

    def __init__(self, text: str, *, what: str) -> None:
        self.text = text
        self.what = what

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields, each once, in their order."""
        return tuple(dict.fromkeys(match[1] for match in _FIELD.finditer(self.text) if match[1]))

    def check(
        self,
        known: "Mapping[str, Any] | set[str] | frozenset[str]",
        *,
        moments: "set[str] | frozenset[str]" = frozenset(),
    ) -> None:
        """Refuse a field that nothing will fill, or fill in its form.

        Args:
            known: the fields that will be filled.
            moments: those of them that take a form.

        Raises:
            SpecError: there is one; the message says which there are.
        """
        for name in self.fields:
            if name not in known:
                told = ", ".join(f"{{{one}}}" for one in sorted(known)) or "none, since there are no partitions"
                raise SpecError(
                    f"{self.what}: {self.text!r} has the field {{{name}}}, which nothing fills; there are {told}"
                    " (write a brace itself as '{{')"
                )
        for match in _FIELD.finditer(self.text):
            if match[2] and match[1] not in moments:
                raise SpecError(f"{self.what}: {self.text!r} gives {{{match[1]}}} a form, which only moments take")

    def fill(self, values: Mapping[str, Any], *, moments: str = "%Y-%m-%d") -> str:
        """The text with its fields filled.

        Args:
            values: texts and moments. What is filled in is taken as it is.
            moments: the form of moments whose field has none.

        Raises:
            SpecError: a field has no value, or a form that its value does not take.

        Example:
            >>> Template("lake/{partition}", what="location").fill({"partition": "2026-01-01"})
            'lake/2026-01-01'
        """
        self.check(values, moments={name for name, value in values.items() if isinstance(value, date)})
        return _FIELD.sub(lambda match: self._filled(match, values, moments), self.text)

    def _filled(self, match: re.Match[str], values: Mapping[str, Any], moments: str) -> str:
        name, form = match[1], match[2]
        if name is None:
            return match[0][0]
        value = values[name]
        if isinstance(value, date):
            return value.strftime(form or moments)
        return str(value)

    def match(self, text: str) -> dict[str, str] | None:
        """The fields' values in a text that was made of this template; None where it was not.

        A value is a part of one segment of a path. A field that stands twice has one value.

        Raises:
            SpecError: a field has a form, which cannot be read back.

        Example:
            >>> Template("s3://lake/{region}/{day}", what="location").match("s3://lake/eu/2026-01-01")
            {'region': 'eu', 'day': '2026-01-01'}
        """
        pattern, end, seen = "", 0, set()
        for found in _FIELD.finditer(self.text):
            pattern += re.escape(self.text[end : found.start()])
            end = found.end()
            name = found[1]
            if name is None:
                pattern += re.escape(found[0][0])
            elif found[2] is not None:
                raise SpecError(f"{self.what}: {found[0]} has a form, and is to be read back; give it as {{{name}}}")
            else:
                pattern += f"(?P={name})" if name in seen else f"(?P<{name}>{_SEGMENT})"
                seen.add(name)
        whole = re.fullmatch(pattern + re.escape(self.text[end:]), text)
        return None if whole is None else whole.groupdict()
