"""Rows of a file of JSON lines; a line that is no JSON object, or does not fit, becomes a row with an error."""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.json as pj

from gristmill.inputs.opening import InputFile, file_error, named
from gristmill.inputs.pieces import Bounds, Piece, null_rows
from gristmill.inputs.window import Window
from gristmill.spec.row_error import RowError

__all__ = ["jsonl_schema", "read_jsonl"]

_BLOCK = 8 * 1024**2
"""Bytes parsed at a time, and bytes that types are inferred from."""

_SHOWN = 200
_FEW = 256


def _blocks(file: InputFile) -> Iterator[bytes]:
    """The file in blocks of whole lines, each with its line end."""
    with named(file.location):
        stream = file.text()
    rest = b""
    while True:
        with named(file.location):
            data = bytes(stream.read(_BLOCK))
        if not data:
            break
        end = data.rfind(b"\n") + 1
        if end:
            yield rest + data[:end]
            rest = data[end:]
        else:
            rest += data
    if rest:
        yield rest + b"\n"


def _parse(block: bytes, schema: pa.Schema | None) -> pa.Table:
    read = pj.ReadOptions(block_size=len(block) + 1, use_threads=False)
    parse = None
    if schema is not None:
        parse = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    return pj.read_json(pa.BufferReader(block), read_options=read, parse_options=parse)


def _is_plain(block: bytes) -> bool:
    """Whether each line begins an object: Arrow takes `null` for a row, and does not survive a block of it."""
    return block.startswith(b"{") and block.count(b"\n{") == block.count(b"\n") - 1


def jsonl_schema(file: InputFile) -> pa.Schema:
    """The columns and types that the first block of lines suggests.

    A column whose values have no common type, such as text here and a list there, is text, with JSON in it.

    Raises:
        OSError: the file cannot be read, or holds no JSON lines.
    """
    block = next((block for block in _blocks(file) if block.strip()), None)
    if block is None:
        return pa.schema([])
    if block.lstrip().startswith(b"["):
        raise file_error(file.location, ValueError("it holds a JSON array; write one object on each line"))
    if _is_plain(block):
        try:
            return _parse(block, None).schema
        except pa.ArrowInvalid:
            pass
    rows = [row for line in block.splitlines() if line.strip() and (row := _object(line)) is not None]
    if not rows:
        shown = block[:_SHOWN].decode("utf-8", errors="replace")
        raise file_error(file.location, ValueError(f"no line in its beginning is a JSON object: {shown!r}"))
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.schema([(name, _type_of([row[name] for row in rows if name in row])) for name in names])


def _type_of(values: list[Any]) -> pa.DataType:
    block = b"".join(_dump({"c": value}) for value in values)
    try:
        return _parse(block, None).schema.field("c").type
    except pa.ArrowInvalid:
        return pa.string()


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _dump(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8", errors="surrogatepass") + b"\n"


def read_jsonl(file: InputFile, schema: pa.Schema, window: Window, _bounds: Bounds) -> Iterator[Piece]:
    """The wanted rows, in order; empty lines are no rows, and an absent value is null.

    Raises:
        OSError: the file cannot be read.
    """
    line = 1
    for block in _blocks(file):
        if window.is_done:
            return
        lines = block.count(b"\n")
        if _is_plain(block):
            if window.passes_over(lines):
                line += lines
                continue
            table = _fast(block, schema) if lines else None
            if table is not None and table.num_rows == lines:
                offset, length = window.cut(lines)
                for batch in table.slice(offset, length).to_batches():
                    yield Piece(batch)
                line += lines
                continue
        yield from _Lines(file.location, schema, line, block).read(window)
        line += lines


def _fast(block: bytes, schema: pa.Schema) -> pa.Table | None:
    """The block's rows; None when some line is at fault."""
    if not len(schema):
        return None
    try:
        return _parse(block, schema).select(schema.names).cast(schema)
    except pa.ArrowInvalid:
        return None


class _Lines:
    """A block of which some line is at fault, read so that the fault stays with its line."""

    def __init__(self, location: str, schema: pa.Schema, first: int, block: bytes) -> None:
        self._location = location
        self._schema = schema
        self._texts = {field.name for field in schema if field.type == pa.string()}
        lines = block.split(b"\n")[:-1]
        self._lines = [(first + at, line) for at, line in enumerate(lines) if line.strip()]

    def read(self, window: Window) -> Iterator[Piece]:
        if window.passes_over(len(self._lines)):
            return
        offset, length = window.cut(len(self._lines))
        yield from self._some(self._lines[offset : offset + length])

    def _some(self, lines: list[tuple[int, bytes]]) -> Iterator[Piece]:
        """Lines, halved until those at fault stand among few."""
        block = b"".join(line + b"\n" for _, line in lines)
        table = _fast(block, self._schema) if lines and _is_plain(block) else None
        if table is not None and table.num_rows == len(lines):
            for batch in table.to_batches():
                yield Piece(batch)
        elif len(lines) > _FEW:
            half = len(lines) // 2
            yield from self._some(lines[:half])
            yield from self._some(lines[half:])
        else:
            yield from self._each(lines)

    def _each(self, lines: list[tuple[int, bytes]]) -> Iterator[Piece]:
        rows: list[tuple[int, dict[str, Any]]] = []
        for number, line in lines:
            try:
                row = self._row(line)
            except ValueError as error:
                yield from self._fitting(rows)
                rows = []
                yield self._failed(null_rows(self._schema, 1), number, error)
            else:
                rows.append((number, row))
        yield from self._fitting(rows)

    def _row(self, line: bytes) -> dict[str, Any]:
        """The planned columns of a line; what stands in a text column and is not text becomes JSON."""
        row = json.loads(line)
        if not isinstance(row, dict):
            shown = line[:_SHOWN].decode("utf-8", errors="replace")
            raise ValueError(f"the line is not a JSON object: {shown}")  # noqa: TRY004 - the content is at fault
        found = {name: row[name] for name in self._schema.names if name in row}
        for name in self._texts & found.keys():
            if isinstance(found[name], dict | list):
                found[name] = json.dumps(found[name], ensure_ascii=False)
        return found

    def _fitting(self, rows: list[tuple[int, dict[str, Any]]]) -> Iterator[Piece]:
        """Rows whose values may or may not fit their types, halved until they do."""
        if not rows:
            return
        if not len(self._schema):
            yield Piece(null_rows(self._schema, len(rows)))
            return
        try:
            table = _parse(b"".join(_dump(row) for _, row in rows), self._schema)
            for batch in table.select(self._schema.names).cast(self._schema).to_batches():
                yield Piece(batch)
        except (pa.ArrowInvalid, UnicodeEncodeError) as error:
            if len(rows) > 1:
                half = len(rows) // 2
                yield from self._fitting(rows[:half])
                yield from self._fitting(rows[half:])
                return
            number, row = rows[0]
            yield self._failed(self._readable(row), number, error)

    def _readable(self, row: dict[str, Any]) -> pa.RecordBatch:
        """One row with the values that do fit."""
        columns = []
        for field in self._schema:
            alone = pa.schema([field])
            try:
                value = {field.name: row[field.name]} if field.name in row else {}
                columns.append(_parse(_dump(value), alone).column(field.name).chunk(0))
            except (pa.ArrowInvalid, UnicodeEncodeError):
                columns.append(pa.nulls(1, field.type))
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def _failed(self, rows: pa.RecordBatch, number: int, error: Exception) -> Piece:
        kind = "ValueError" if isinstance(error, pa.ArrowInvalid) else type(error).__name__
        message = str(error)[:2_000]
        return Piece(rows, {0: RowError(kind, message, "read", f"{self._location}:{number}")})
