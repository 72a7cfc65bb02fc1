"""The form of an answer: text, JSON by a schema, or a value of a SQL type."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gristmill.chat.param_checks import check_one
from gristmill.errors import SpecError
from gristmill.sql.json_schema import schema_of, wrong_value
from gristmill.sql.json_value import unreadable
from gristmill.sql.model_parameters import plain
from gristmill.sql.type_text import parsed_type
from gristmill.wording.text import cut

__all__ = ["AnswerForm", "AnswerFormError", "answer_form"]

_FIELD = "response_format"
_WRAPPED = "value"


class AnswerFormError(ValueError):
    """A model's answer is not in the form that was asked for: the row's error."""


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """What an answer is to be.

    Attributes:
        sql_type: the type of the value in SQL.
        request: the request's `response_format`; None for text.
        schema: of the value, where it is to be of a SQL type.
        kind: the SQL type as DuckDB has it, likewise.
        follows: says what is wrong with a value by the JSON schema that was given, or None; None where none was.
        is_wrapped: whether the value is asked for in an object, since services want one at the top; it is taken without
            one too.
    """

    sql_type: str = "VARCHAR"
    request: Mapping[str, Any] | None = None
    schema: Mapping[str, Any] | None = None
    kind: Any = None
    follows: Callable[[Any], str | None] | None = None
    is_wrapped: bool = False

    def value(self, text: str | None, finish_reason: str | None) -> Any:
        """The value in an answer.

        Raises:
            AnswerFormError: there is none.

        Example:
            >>> AnswerForm("JSON", {"type": "json_object"}).value('{"a": 1}', "stop")
            {'a': 1}
        """
        if self.request is None:
            return text
        try:
            value = json.loads(text or "")
        except (ValueError, RecursionError) as error:
            end = "; it was cut at max_tokens: raise that in model_parameters" if finish_reason == "length" else ""
            raise AnswerFormError(f"the answer is not JSON: {error}{end} (it begins {(text or '')[:80]!r})") from None
        if self.follows is not None and (problem := self.follows(value)) is not None:
            raise AnswerFormError(f"the answer does not follow the schema: {problem} (given: {(text or '')[:80]!r})")
        if self.schema is None:
            return value
        if self.is_wrapped and isinstance(value, dict) and _WRAPPED in value:
            value = value[_WRAPPED]
        problem = wrong_value(value, self.schema) or unreadable(value, self.kind)
        if problem is not None:
            raise AnswerFormError(f"the answer is no {self.sql_type}: {problem} (given: {(text or '')[:80]!r})")
        return value


_TEXT = AnswerForm()


def answer_form(given: Any) -> AnswerForm:
    """The form that an argument `response_format` asks for.

    Args:
        given: a JSON schema as a struct, a map or JSON text, by itself or as `{'type': 'json', 'schema': ...}`; a SQL
            type as text, such as `STRUCT(name VARCHAR, age INTEGER)`; None for text.

    Raises:
        SpecError: it is neither.

    Example:
        >>> answer_form('{"type": "object", "properties": {"a": {"type": "integer"}}}').sql_type
        'JSON'
    """
    if given is None:
        return _TEXT
    if isinstance(given, str):
        if not given.lstrip().startswith("{"):
            return _typed(given)
        try:
            given = json.loads(given)
        except (ValueError, RecursionError) as error:
            raise SpecError(f"{_FIELD}: is not JSON: {error} (given: {given[:80]!r})") from None
    schema = plain(given)
    if not isinstance(schema, Mapping):
        raise SpecError(
            f"{_FIELD}: must be a JSON schema (a struct, a map or JSON text) or a SQL type as text, such as "
            f"'STRUCT(name VARCHAR, age INTEGER)' (given: {type(schema).__name__})"
        )
    request = _request(schema)
    if request["type"] != "json_schema":
        return AnswerForm("JSON", request)
    return AnswerForm("JSON", request, follows=_follower(json.dumps(request["json_schema"]["schema"])))


def _request(given: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = given.get("type")
    if kind == "json" and "schema" not in given:
        kind, given = "json_object", {"type": "json_object"}
    if kind not in ("json_object", "json_schema"):
        schema = given["schema"] if kind == "json" else given
        given = {"type": "json_schema", "json_schema": {"schema": schema}}
    checked: Mapping[str, Any] = check_one("response_format", given, what=_FIELD)
    return checked


@lru_cache(maxsize=64)
def _follower(schema: str) -> Callable[[Any], str | None]:
    """What says how a value does not follow a JSON schema."""
    from jsonschema.exceptions import best_match
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    told = json.loads(schema)
    validator = validator_for(told)(told, registry=Registry())  # with which nothing is fetched

    def follows(value: Any) -> str | None:
        try:
            worst = best_match(validator.iter_errors(value))
        except Unresolvable as error:
            return f"the schema refers to what it does not hold: {error}"
        return None if worst is None else f"{cut(worst.message, 200)} (at {worst.json_path})"

    return follows


@lru_cache(maxsize=64)
def _typed(text: str) -> AnswerForm:
    if not re.search(r"\w", text):
        raise SpecError(f"{_FIELD}: is empty; give a JSON schema, or a SQL type such as 'STRUCT(name VARCHAR)'")
    kind = parsed_type(text, field=_FIELD)
    schema = schema_of(kind, place=_FIELD)
    is_wrapped = schema.get("type") != "object"
    top = {
        "type": "object",
        "properties": {_WRAPPED: schema},
        "required": [_WRAPPED],
        "additionalProperties": False,
    }
    request = {"type": "json_schema", "json_schema": {"name": "response", "schema": top if is_wrapped else schema}}
    return AnswerForm(str(kind), request, schema, kind, is_wrapped=is_wrapped)
