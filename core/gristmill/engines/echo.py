"""An engine that gives each row back: for tests and dry runs."""

import asyncio
import base64
import json
import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from gristmill.chat.form import CHAT_OPTIONS, check_chat_options
from gristmill.engines.echo_chat import EchoChat, echo_chat_signature
from gristmill.engines.protocol import BatchModel, EngineDeadError, LoadContext, ModelInfo, RowModel
from gristmill.errors import ModelError
from gristmill.models.columns import match_columns
from gristmill.models.reference import parse_reference
from gristmill.models.signature import Feature, Signature
from gristmill.models.types import arrow_type
from gristmill.storage.storage import Storage

__all__ = ["EchoEngine"]

_OUTPUT = "echo"
_FUNCTION = "echo"
_OF_VALUES = ("dead_on", "fail_on", "kill_on", "prefix_grouping")
_CHAT = "chat"
_ECHO_OPTIONS = frozenset({"column", "output_type", "count"})
_ONLY_CHAT_OPTIONS = CHAT_OPTIONS - {"prefix_grouping", "window"}


class EchoEngine:
    """Returns a column `echo`: each row as JSON text, or the value of one column.

    `echo:` runs batches, `echo:row` rows. `echo:chat` is a chat that answers with what the user said last; it takes
    messages, params and options as all engines for chats do.

    Options:
        column: return this column's value instead of the whole row.
        output_type: the type of `echo`, such as `"int64"`; a value that does not fit it fails.
        window: rows in flight of `echo:row` and `echo:chat` (64).

    Test aids, which make it misbehave in ways that tests can count on; values are those of `column`, or the answers of
    `echo:chat`, compared as text:
        delay: seconds that each call takes (each batch, or each row of `echo:row`).
        fail_on: a value, or a list of them, that raises a ValueError.
        kill_on: a value, or a list of them, that ends the process with SIGKILL.
        dead_on: a value, or a list of them, that raises an EngineDeadError.
        prefix_grouping: whether rows whose values begin alike are sent together (False; in `echo:chat` True, by their
            system message).
        count: tokens that each row counts as read, and again as written.
        log: a folder; each call first appends one line per row to a file there: the row as it would be echoed as text.

    Example:
        >>> EchoEngine().handles("echo:row")
        True
    """

    name = "echo"
    option_names = _ECHO_OPTIONS | CHAT_OPTIONS | {"dead_on", "delay", "fail_on", "kill_on", "log"}

    def handles(self, model: str) -> bool:
        """Whether the reference begins with `echo:`."""
        return parse_reference(model).scheme == "echo"

    def describe(self, model: str, options: Mapping[str, Any], storage: Storage) -> ModelInfo:  # noqa: ARG002
        """One function, `echo` or `chat`."""
        reference = parse_reference(model)
        if reference.scheme != "echo" or reference.target not in ("", "batch", "row", "chat"):
            raise ModelError(f"model {model!r}: the engine echo runs 'echo:', 'echo:row' and 'echo:chat'")
        is_chat = reference.target == "chat"
        for name in options:
            if name in (_ECHO_OPTIONS if is_chat else _ONLY_CHAT_OPTIONS):
                raise ModelError(f"inference_engine_options.{name}: means nothing to {model!r}; leave it out")
        if is_chat:
            check_chat_options(options)
            return ModelInfo({_CHAT: echo_chat_signature(options)}, _CHAT, by_row=True)
        column = options.get("column")
        of_values = [name for name in _OF_VALUES if options.get(name)]
        if column is None and of_values:
            raise ModelError(
                f"inference_engine_options: {of_values[0]} is about values of a column: name it in 'column'"
            )
        inputs = None if column is None else (Feature(str(column), pa.null()),)
        outputs = (Feature(_OUTPUT, _declared(options) or (pa.string() if column is None else pa.null())),)
        return ModelInfo({_FUNCTION: Signature(inputs, outputs)}, _FUNCTION, by_row=reference.target == "row")

    def load(self, context: LoadContext) -> BatchModel | RowModel:
        """The model of the kind that the reference names."""
        echo = _Echo(context)
        target = parse_reference(context.model).target
        if target == "chat":
            return EchoChat(
                context,
                delay=echo.delay,
                before=lambda text: echo.note([text]),
                after=lambda text: echo.check([text]),
            )
        return _EchoRows(echo) if target == "row" else _EchoBatches(echo)


def _declared(options: Mapping[str, Any]) -> pa.DataType | None:
    written = options.get("output_type")
    return None if written is None else arrow_type(written, what="inference_engine_options.output_type")


def _values(option: Any) -> frozenset[str]:
    if option is None:
        return frozenset()
    return frozenset(map(str, option if isinstance(option, list | tuple | set) else [option]))


def _plain(value: Any) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


class _Echo:
    """What the two kinds share: the value of a row, and the misbehaviour."""

    def __init__(self, context: LoadContext) -> None:
        options, schema = context.options, context.input_schema
        column = options.get("column")
        self.column = None if column is None else schema.names[match_columns([str(column)], schema)[0]]
        kind = pa.string() if self.column is None else schema.field(self.column).type
        self.schema = pa.schema([(_OUTPUT, _declared(options) or kind)])
        self.delay = float(options.get("delay") or 0)
        self.window = int(options.get("window") or 64)
        self.is_grouping = bool(options.get("prefix_grouping"))
        self.tokens = int(options.get("count") or 0)
        self._fail_on, self._kill_on = _values(options.get("fail_on")), _values(options.get("kill_on"))
        self._dead_on = _values(options.get("dead_on"))
        self._counted = 0
        self._log = None if options.get("log") is None else Path(options["log"])

    def value(self, row: Mapping[str, Any]) -> Any:
        return json.dumps(dict(row), default=_plain, ensure_ascii=False) if self.column is None else row[self.column]

    def note(self, values: list[Any]) -> None:
        """Write the calls down, then die where a row says so: a row that kills counts as called."""
        if self._log is not None:
            self._log.mkdir(parents=True, exist_ok=True)
            with (self._log / f"{os.getpid()}-{threading.get_ident()}.log").open("a", encoding="utf-8") as file:
                file.write("".join(f"{_plain(value)}\n" for value in values))
        if self._kill_on and any(str(value) in self._kill_on for value in values):
            os.kill(os.getpid(), signal.SIGKILL)

    def check(self, values: list[Any]) -> None:
        """Fail where a row says so, and count the others."""
        for value in values if self._dead_on else ():
            if str(value) in self._dead_on:
                raise EngineDeadError(f"dead_on: {value!r}")
        for value in values if self._fail_on else ():
            if str(value) in self._fail_on:
                raise ValueError(f"fail_on: {value!r}")
        self._counted += len(values)

    def take_metrics(self) -> Mapping[str, float]:
        """The tokens of the rows since this was last asked."""
        counted, self._counted = self._counted * self.tokens, 0
        return {"prompt_tokens": counted, "output_tokens": counted} if counted else {}


class _EchoBatches(BatchModel):
    def __init__(self, echo: _Echo) -> None:
        self._echo = echo

    def infer(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        echo = self._echo
        if echo.column is None:
            values = [echo.value(row) for row in batch.to_pylist()]
            array = pa.array(values, pa.string())
        else:
            array = batch.column(batch.schema.names.index(echo.column))
            values = array.to_pylist()
        echo.note(values)
        if echo.delay:
            time.sleep(echo.delay)
        echo.check(values)
        return pa.RecordBatch.from_arrays([array.cast(echo.schema.field(0).type)], schema=echo.schema)

    def take_metrics(self) -> Mapping[str, float]:
        return self._echo.take_metrics()


class _EchoRows(RowModel):
    def __init__(self, echo: _Echo) -> None:
        self._echo = echo
        self.window = echo.window
        self.output_schema = echo.schema
        self.prefix_key = (lambda row: str(echo.value(row))) if echo.is_grouping else None

    async def infer_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        value = self._echo.value(row)
        self._echo.note([value])
        if self._echo.delay:
            await asyncio.sleep(self._echo.delay)
        self._echo.check([value])
        return {_OUTPUT: value}

    def take_metrics(self) -> Mapping[str, float]:
        return self._echo.take_metrics()
