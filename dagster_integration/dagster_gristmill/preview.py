"""The first rows of an output as a Markdown table, with thumbnails of images."""

import time
from typing import TYPE_CHECKING, Any

from dagster_gristmill.markdown import escaped, table
from dagster_gristmill.thumbnail import image_type, thumbnail
from gristmill.spec.row_error import ERROR_COLUMN
from gristmill.wording.text import cell, count, cut, scrubbed, size

if TYPE_CHECKING:
    import pyarrow as pa

    from gristmill.jobs.handle import Job
    from gristmill.outputs.manifest import Manifest

__all__ = ["preview"]

_ROWS = 5
_COLUMNS = 12
_LINE = 800
"""Characters of a row's texts, all columns together."""

_NARROWEST, _WIDEST = 40, 240

_IMAGES = 140_000
"""Characters of all images: an event, which Dagster keeps in its database, stays under 200 kB."""

_IMAGE = 28_000

_MOST_FILE_BYTES = 16 * 1024**2
_FILE_SECONDS = 5.0
_ALL_SECONDS = 15.0
"""After which no further file is opened."""


def preview(job: "Job", manifest: "Manifest", *, rows: int = _ROWS) -> str:
    """The first rows of a job's output, as Markdown of less than 200 kB.

    Of a chat's response only the text is shown. Images are shown where a column holds them, or names them as a file
    column; files are opened as the job itself may open them. What cannot be shown is said, never raised.

    Args:
        job: a job that is done.
        manifest: of its output.
        rows: how many at most.
    """
    try:
        return _Preview(job, manifest).text(rows)
    except Exception as error:  # noqa: BLE001 - the output is whole, and no step should fail for a look at it
        reason = cut(scrubbed(f"{type(error).__name__}: {error}"), 300)
        return f"The first rows cannot be shown: {escaped(reason)}"


class _Preview:
    def __init__(self, job: "Job", manifest: "Manifest") -> None:
        self._job = job
        self._manifest = manifest
        self._files: _Files | None = None
        self._left = _IMAGES

    def text(self, rows: int) -> str:
        from gristmill.outputs.head import head

        found = _with_texts(head(self._job.record.storage, self._job.location, self._manifest, rows=rows))
        if not found.num_rows:
            return "The output has no rows."
        names, hidden = _chosen(found.column_names)
        width = max(_NARROWEST, min(_WIDEST, _LINE // len(names)))
        try:
            columns = [self._column(found, name, width) for name in names]
        finally:
            if self._files is not None:
                self._files.close()
        shown = table(
            [escaped(cut(name, _NARROWEST)) for name in names],
            zip(*columns, strict=True),
            right=[_is_number(found.schema.field(name).type) for name in names],
        )
        notes = [f"{count(found.num_rows)} of {count(self._manifest.rows, 'row')}"]
        if hidden:
            notes.append(f"{count(len(hidden), 'column')} not shown: {escaped(cut(', '.join(hidden), 400))}")
        return f"{shown}\n\n{'; '.join(notes)}"

    def _column(self, found: "pa.Table", name: str, width: int) -> list[str]:
        handling = self._job.request.column_handling
        return [self._cell(name, value, width, is_file=name in handling) for value in _values(found.column(name))]

    def _cell(self, name: str, value: Any, width: int, *, is_file: bool) -> str:
        if name == ERROR_COLUMN and isinstance(value, dict):
            return escaped(cut(f"{value['step']}: {value['type']}: {value['message']}", width))
        if isinstance(value, bytes):
            return self._image(value, alt=name) or escaped(cell(value))
        if is_file and isinstance(value, str):
            return self._file(value, width)
        if name == self._job.request.messages and isinstance(value, list):
            value = _said(value)
        return escaped(cell(value[: 8 * width] if isinstance(value, str) else value, width))

    def _file(self, reference: str, width: int) -> str:
        shown = escaped(cell(reference[: 8 * width], width))
        if self._files is None:
            self._files = _Files(self._job)
        try:
            content = self._files.read(reference)
        except Exception as error:  # noqa: BLE001 - each storage has errors of its own; the reference stands anyway
            return f"{shown} (not opened: {escaped(cut(scrubbed(f'{type(error).__name__}: {error}'), 80))})"
        image = self._image(content, alt=reference.rpartition("/")[2])
        return f"{image} {shown}" if image is not None else shown

    def _image(self, content: bytes, *, alt: str) -> str | None:
        kind = image_type(content)
        if kind is None:
            return None
        uri = thumbnail(content, kind, most=min(_IMAGE, self._left))
        if uri is None:
            return f"{kind.removeprefix('image/').upper()} image, {size(len(content))}"
        self._left -= len(uri)
        return f"![{escaped(cut(alt, _NARROWEST))}]({uri})"


class _Files:
    """The files that rows name, within what their job may open."""

    def __init__(self, job: "Job") -> None:
        from gristmill.storage.access import AccessPolicy
        from gristmill.storage.objects import ObjectReader

        run = job.record.latest()
        storage = job.record.storage
        limits = storage.settings.resolver
        self._access = AccessPolicy(storage, () if run is None else run.claim().how.allowed)
        self._reader = ObjectReader(
            storage,
            self._access,
            limits.model_copy(
                update={
                    "timeout": min(_FILE_SECONDS, limits.timeout),
                    "attempts": 1,
                    "max_file_bytes": min(_MOST_FILE_BYTES, limits.max_file_bytes),
                }
            ),
        )
        self._until = time.monotonic() + _ALL_SECONDS

    def read(self, reference: str) -> bytes:
        location = self._access.locate(reference)
        if time.monotonic() > self._until:
            raise TimeoutError("the files before took too long")
        return bytes(self._reader.read(location, admit=lambda _: None))

    def close(self) -> None:
        self._reader.close()


def _with_texts(found: "pa.Table") -> "pa.Table":
    """A chat's rows with the text of the first choice; others as they are."""
    from gristmill.chat.response import text_of
    from gristmill.errors import SchemaError

    try:
        return text_of(found)
    except SchemaError:
        return found


def _said(messages: list[Any]) -> Any:
    """Messages as they would be said; as they are where they hold more than text."""
    if not all(isinstance(one, dict) and isinstance(one.get("content"), str) for one in messages):
        return messages
    return " ".join(f"{one.get('role')}: {one['content']}" for one in messages)


def _chosen(names: list[str]) -> tuple[list[str], list[str]]:
    """Which columns are shown, and which are not: inputs stand first and outputs last, the middle matters least."""
    if len(names) <= _COLUMNS:
        return names, []
    half = _COLUMNS // 2
    return [*names[:half], *names[-half:]], names[half:-half]


def _values(column: "pa.ChunkedArray") -> list[Any]:
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError) as error:  # a time that Python has no type for
        return [f"not shown: {error}"] * len(column)


def _is_number(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
