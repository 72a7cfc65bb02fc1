"""`ai_complete` over vectors of rows: what DuckDB calls."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from gristmill.chat.messages import messages_text
from gristmill.chat.signature import holds_text
from gristmill.engines.openai.client import need_aiohttp
from gristmill.engines.openai.listing import served_models
from gristmill.errors import SpecError
from gristmill.inputs.block import Block
from gristmill.models.types import stored_type
from gristmill.resolve.columns import ColumnResolver
from gristmill.spec.row_error import RowError
from gristmill.sql.asking import Asker, Call, Query, QueryStoppedError, Request, asker_of, submit
from gristmill.sql.counting import Counter
from gristmill.sql.event_loop import in_loop
from gristmill.sql.model_parameters import chat_parameters
from gristmill.sql.prompt import FILE, PARTS, TEXT, content_of, is_file, is_prompt
from gristmill.sql.response_format import AnswerForm, AnswerFormError, answer_form
from gristmill.sql.target import named_target, one_of
from gristmill.storage.access import AccessPolicy
from gristmill.storage.storage import Storage

__all__ = ["AiFunctions"]

_MESSAGES = "messages"
_IDLE_SECONDS = 60.0
_AHEAD = 2
"""Blocks of rows with files, of some 32 MiB each, that wait for their answers."""


class AiFunctions:
    """What one database of DuckDB calls, from whichever of its threads and connections.

    Args:
        storage: gives the settings, the services, and the files that rows may name.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.counters: dict[int, Counter] = {}
        self._access: AccessPolicy | None = None
        self._lock = threading.Lock()
        self._queries: dict[int, Query] = {}

    def stop(self, connection: int) -> None:
        """End what a connection's query asks for."""
        query = self._queries.get(connection)
        if query is not None:
            query.stop(QueryStoppedError("the query was interrupted"))

    def forget(self, connection: int) -> None:
        """A connection is closed."""
        with self._lock:
            self._queries.pop(connection, None)

    def structure(self, *columns: pa.ChunkedArray) -> pa.Array:
        """The type of the values, as `from_json` takes it; DuckDB asks when it binds a query.

        Args:
            columns: `response_format`, `show_details`, `return_error_details`.
        """
        given, details, errors = (_first(column) for column in columns)
        kind: Any = "JSON" if _flag(details, "show_details") else answer_form(given).sql_type
        if _flag(errors, "return_error_details"):
            kind = {"value": kind, "error": "VARCHAR"}
        return pa.array([json.dumps(kind)] * len(columns[0]), pa.string())

    def complete(self, *columns: pa.ChunkedArray) -> pa.Array:
        """The answers to some rows, as JSON text for `from_json`.

        Args:
            columns: the ids of the connection and the query, then the arguments: `model`, `prompt`, `file`,
                `model_parameters`, `response_format`, `show_details`, `return_error_details`.

        Raises:
            SpecError: what cannot be right in any row.
            EngineRefusedError: the service refuses every request, or answers none.
        """
        need_aiohttp()
        connection, number = int(_first(columns[0])), int(_first(columns[1]))
        model, prompt, file, parameters, form, details, errors = columns[2:]
        contents = _contents(prompt, file)
        how = answer_form(_first(form))
        answers = _Answers(how, _flag(_first(details), "show_details"), _flag(_first(errors), "return_error_details"))
        params = _Parameters(parameters, how)
        counter = self.counters.get(connection)
        query = self._query(connection, number)
        names = _values(model)
        groups: dict[str, list[int]] = {}
        for row, content in enumerate(contents):
            if content is not None:
                groups.setdefault(_named(names(row)), []).append(row)
        if counter is not None:
            for name, rows in groups.items():
                named_target(name, self.storage)
                counter.count(((row, contents[row], params(row)) for row in rows), name)
            return pa.array([answers.assumed(content, counter) for content in contents], pa.string())
        try:
            requests = self._asked(query, groups, contents, params, details=answers.details)
        except BaseException as error:
            query.stop(error if isinstance(error, Exception) else QueryStoppedError("the query was interrupted"))
            raise
        return pa.array([None if one is None else answers.text(one) for one in requests], pa.string())

    def _asked(
        self,
        query: Query,
        groups: Mapping[str, Sequence[int]],
        contents: Sequence["Content | None"],
        params: "_Parameters",
        *,
        details: bool,
    ) -> list[Request | None]:
        """The requests of the rows, each with its answer or its error; rows that say the same have the same one."""
        requests: list[Request | None] = [None] * len(contents)
        keys: list[bytes] = []
        calls: list[Call] = []
        for name, rows in groups.items():
            asker = self._asker(query, name)
            new: list[Request] = []
            files: list[Request] = []
            for row in rows:
                content = contents[row]
                assert content is not None
                written, given = params(row)
                key = _key(f"{asker.model}\0{written}\0{details}", content)
                request, is_new = query.request(key, partial(Request, _writer(content), given, details=details))
                requests[row] = request
                if is_new:
                    keys.append(key)
                    (files if content[0] == PARTS else new).append(request)
            late = set(files)
            waited = [one for row in rows if (one := requests[row]) is not None and one not in late]
            calls.append(submit(query, asker, new, waited))
            if files:
                calls += self._with_files(query, asker, files)
        for call in calls:
            call.wait(query)
        query.remember(keys)
        return requests

    def _query(self, connection: int, number: int) -> Query:
        """The query of a connection; what an earlier one knew is dropped."""
        with self._lock:
            query = self._queries.get(connection)
            if query is None or query.number != number:
                if query is not None:
                    query.stop(QueryStoppedError("another query has begun"))
                self._drop_idle()
                query = self._queries[connection] = Query(number)
            query.touched = time.monotonic()
        query.raise_for_failure()
        return query

    def _drop_idle(self) -> None:
        """Forget queries of other connections, which may be over; one that goes on would ask again what it knew."""
        late = time.monotonic() - _IDLE_SECONDS
        for connection in [one for one, query in self._queries.items() if query.touched < late and query.is_idle]:
            del self._queries[connection]

    def _asker(self, query: Query, name: str) -> Asker:
        with query.naming:
            asker = query.askers.get(name)
            if asker is None:
                target = named_target(name, self.storage)
                if target.service is None:
                    target = one_of(target, in_loop(served_models(target.endpoint)))
                else:
                    query.services.append(target.service)
                asker = query.askers[name] = in_loop(asker_of(target.endpoint, target.model))
            return asker

    def _with_files(self, query: Query, asker: Asker, files: Sequence[Request]) -> list[Call]:
        """Send requests whose messages name files, some megabytes of content at a time."""
        calls: list[Call] = []
        at = 0
        for block in self._resolved([_text(request) for request in files]):
            texts = block.model_rows.column(0)
            sent = []
            for place in range(len(texts)):
                request = files[at]
                at += 1
                failed = block.errors.get(place)
                request.messages = _fails(failed) if failed is not None else _ready(texts[place].as_py())
                sent.append(request)
            if len(calls) >= _AHEAD:
                calls[-_AHEAD].wait(query)
            calls.append(submit(query, asker, sent, sent))
        return calls

    def _resolved(self, texts: Sequence[str]) -> Iterator[Block]:
        with self._lock:
            if self._access is None:
                self._access = AccessPolicy(self.storage)
        rows = pa.record_batch({_MESSAGES: pa.array(texts, pa.string())})
        limits = self.storage.settings.resolver
        resolver = ColumnResolver({}, messages=_MESSAGES, storage=self.storage, access=self._access, limits=limits)
        try:
            yield from resolver.resolve([Block(0, 0, rows, rows)])
        finally:
            resolver.close()


Content = tuple[str, str]
"""What a row says: `TEXT` and its text, or `PARTS` and the JSON of its parts."""


class _Answers:
    """Turns answers into what SQL gets."""

    def __init__(self, form: AnswerForm, details: bool, errors: bool) -> None:  # noqa: FBT001 - arguments of SQL
        self._form = form
        self.details = details
        self._errors = errors

    def text(self, request: Request) -> str | None:
        """The value as JSON text; None for an error that is not told."""
        answer, problem, value = request.answer, request.error, None
        if answer is not None:
            try:
                value = self._form.value(answer.text, answer.finish_reason)
            except AnswerFormError as error:
                problem = error
            else:
                value = answer.response if self.details else value
        if not self._errors:
            return None if problem is not None or value is None else json.dumps(value, ensure_ascii=False)
        told = None if problem is None else (str(problem) or type(problem).__name__)[:2_000]
        return json.dumps({"value": None if problem is not None else value, "error": told}, ensure_ascii=False)

    def assumed(self, content: Content | None, counter: Counter) -> str | None:
        """What stands for an answer where nobody is asked: text of about the length of one, else nothing."""
        if content is None or self.details or self._errors or self._form.request is not None:
            return None
        return json.dumps(counter.answer(content))


class _Parameters:
    """The parameters of rows, checked once for each that differs; with a text that tells them apart."""

    def __init__(self, column: pa.ChunkedArray, form: AnswerForm) -> None:
        self._value = _values(column)
        self._form = form
        self._known: dict[str, tuple[str, dict[str, Any]]] = {}
        self._last: tuple[Any, tuple[str, dict[str, Any]]] | None = None

    def __call__(self, row: int) -> tuple[str, dict[str, Any]]:
        given = self._value(row)
        if self._last is not None and self._last[0] is given:
            return self._last[1]
        written = repr(given)
        found = self._known.get(written)
        if found is None:
            checked = chat_parameters(given, response_format=self._form.request)
            found = self._known[written] = json.dumps(checked, sort_keys=True, default=str), checked
        self._last = given, found
        return found


def _contents(prompt: pa.ChunkedArray, file: pa.ChunkedArray) -> list[Content | None]:
    """What each row says; None where its prompt or its file is null."""
    kind = stored_type(prompt.type)
    if pa.types.is_null(kind):
        return [None] * len(prompt)
    has_file = is_file(file.type)
    if is_prompt(kind):
        if has_file:
            raise SpecError("file: the prompt is made by prompt(), so give it the file as one of its arguments")
        return [None if row is None else _of_prompt(row) for row in prompt.to_pylist()]
    if not holds_text(kind) and not pa.types.is_dictionary(kind):
        what = "a file; write ai_complete(model, 'what to do', file)" if is_file(kind) else f"{prompt.type}"
        raise SpecError(f"prompt: must be text, or made by prompt('... {{0}} ...', args) (given: {what})")
    texts = prompt.to_pylist()
    if not has_file:
        return [None if text is None else (TEXT, text) for text in texts]
    return [
        None if text is None or one is None or one[FILE] is None else (PARTS, json.dumps(content_of([text, one])))
        for text, one in zip(texts, file.to_pylist(), strict=True)
    ]


def _of_prompt(row: Mapping[str, str | None]) -> Content | None:
    text, parts = row[TEXT], row[PARTS]
    if text is not None:
        return TEXT, text
    return None if parts is None else (PARTS, parts)


def _key(how: str, content: Content) -> bytes:
    """Tells requests apart."""
    key = blake2b(f"{how}\0{content[0]}\0".encode(), digest_size=16)
    key.update(content[1].encode("utf-8", "replace"))
    return key.digest()


def _writer(content: Content) -> Callable[[], str]:
    kind, text = content

    def write() -> str:
        return messages_text([{"role": "user", "content": text if kind == TEXT else json.loads(text)}])

    return write


def _text(request: Request) -> str:
    assert request.messages is not None
    return request.messages()


def _ready(text: str) -> Callable[[], str]:
    return lambda: text


def _fails(error: RowError) -> Callable[[], str]:
    def write() -> str:
        where = f"{error.reference}: " if error.reference else ""
        raise ValueError(f"{where}{error.message}")

    return write


def _named(name: Any) -> str:
    if name is None:
        raise SpecError(
            "model: is NULL; name a service or an endpoint (a variable that is not set is NULL: SET VARIABLE name = "
            "'...', then getvariable('name'))"
        )
    if not isinstance(name, str):
        raise SpecError(f"model: must be the name of a service or an endpoint (given: {name!r})")
    return name


def _first(column: pa.ChunkedArray) -> Any:
    return column[0].as_py() if len(column) else None


def _values(column: pa.ChunkedArray) -> Callable[[int], Any]:
    """The values of a column, read once where all rows have the same."""
    if not len(column) or column.slice(1).equals(column.slice(0, len(column) - 1)):
        one = _first(column)
        return lambda _: one
    return list(column.to_pylist()).__getitem__


def _flag(value: Any, name: str) -> bool:
    if value is not None and not isinstance(value, bool):
        raise SpecError(f"{name}: must be true or false (given: {value!r})")
    return bool(value)
