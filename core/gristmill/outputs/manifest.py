"""`Manifest`: the content of `_SUCCESS`."""

import json
import re
import sys
from collections.abc import Iterable
from importlib.metadata import version
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError, field_validator
from pydantic.dataclasses import dataclass

from gristmill.errors import OutputError
from gristmill.outputs.layout import SENTINEL
from gristmill.outputs.log import OutputLog
from gristmill.storage.location import join
from gristmill.storage.storage import Storage

__all__ = ["Column", "Manifest", "ManifestHeader", "OutputFile", "manifest_schema", "read_manifest", "with_files"]

_FILE = re.compile(r"part-[A-Za-z0-9.\-]+\.parquet")


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Column:
    """A column of the output.

    Attributes:
        name: its name.
        type: its Arrow type, as text.
    """

    name: str
    type: str


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class OutputFile:
    """A file of the output.

    Attributes:
        path: its name, at the output's location.
        rows: its rows.
        bytes: its size.
    """

    path: str
    rows: NonNegativeInt
    bytes: NonNegativeInt

    @field_validator("path")
    @classmethod
    def _at_the_location(cls, value: str) -> str:
        if not _FILE.fullmatch(value):
            raise ValueError(f"{value!r} is not the name of a part, such as 'part-00000-a-b.parquet'")
        return value


class ManifestHeader(BaseModel):
    """What the job knows of its output before it is written.

    Attributes:
        job: the job's id.
        name: the job's name.
        key: what the caller reattaches by, where it gave something.
        fingerprint: digest of the request; another fingerprint is another job.
        model: the model reference.
        model_digest: of a registered model: what tells its content; None for others.
        function: the function that ran.
        created: when the job was asked for.
        started: when its first runner started.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    job: str
    name: str
    key: str | None = None
    fingerprint: str
    model: str
    model_digest: str | None = None
    function: str
    created: AwareDatetime
    started: AwareDatetime


class Manifest(ManifestHeader):
    """The content of `_SUCCESS`: what the output is, and each of its files.

    Attributes:
        manifest_version: 1.
        gristmill_version: of the Gristmill that wrote it.
        generation: the publication's number at this location; a later one has a higher number.
        finished: when the output was whole and its publication began.
        rows: rows in all files.
        input_rows: rows of the input, each of which is in the output, or in a partition that is; as many as `rows`, but
            for functions whose partitions have another number of rows. None in manifests of earlier versions.
        partitions: partitions of the input; 0 for functions that run row by row.
        errors: rows among them whose `_error` is set.
        errors_of: what each error is of: a row of the input, or a partition, where a failed one is one row here.
        tokens: sums over all rows, by kind; empty for models that count none.
        columns: the columns, named `schema` in the file.
        files: the files, in the order of the input.

    Example:
        >>> Manifest.model_json_schema()["properties"]["manifest_version"]["const"]
        1
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)

    manifest_version: Literal[1] = 1
    gristmill_version: str = Field(default_factory=lambda: version("gristmill"))
    generation: NonNegativeInt
    finished: AwareDatetime
    rows: NonNegativeInt
    input_rows: NonNegativeInt | None = None
    partitions: NonNegativeInt = 0
    errors: NonNegativeInt
    errors_of: Literal["row", "partition"] = "row"
    tokens: dict[str, float] = {}
    columns: Annotated[tuple[Column, ...], Field(alias="schema")]
    files: tuple[OutputFile, ...]

    @property
    def tried(self) -> int:
        """How many rows or partitions there are for `errors` of them to have failed."""
        return self.rows if self.errors_of == "row" else self.partitions

    @property
    def error_rate(self) -> float:
        """The share of them that failed, 0 to 1; 0 where there are none."""
        return self.errors / self.tried if self.tried else 0.0

    def summary(self, location: str) -> dict[str, Any]:
        """What a scheduler hands on: JSON of a fixed size, whatever the number of files and columns.

        Args:
            location: where the output stands; `read_manifest(location)` gives all of it.

        Returns:
            `location, job, name, fingerprint, model, function, generation, rows, input_rows, partitions, errors,
            errors_of, tokens, files` (how many), `bytes` (of all files), and `created, started, finished` as ISO text.
        """
        told = self.model_dump(
            mode="json",
            include={
                *("job", "name", "fingerprint", "model", "function", "generation"),
                *("rows", "input_rows", "partitions", "errors", "errors_of", "tokens"),
                *("created", "started", "finished"),
            },
        )
        return {"location": location, **told, "files": len(self.files), "bytes": sum(file.bytes for file in self.files)}

    def to_bytes(self) -> bytes:
        """The file's content: JSON, one file of the output on each line."""
        return with_files(self.model_dump_json(exclude={"files"}), ((f.path, f.rows, f.bytes) for f in self.files))

    @classmethod
    def from_bytes(cls, data: bytes, *, location: str) -> "Manifest":
        """The manifest in a `_SUCCESS` file.

        Raises:
            OutputError: it is empty, another tool's, damaged, or of a later version.
        """
        where = join(location, SENTINEL)
        if not data.strip():
            raise OutputError(
                f"{where!r} is empty: another tool wrote it, so which files belong to the output is not known; "
                "read the folder with the tool that wrote it"
            )
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            problem = error.errors()[0]
            field = ".".join(str(part) for part in problem["loc"])
            raise OutputError(
                f"{where!r} is not a manifest that this Gristmill reads ({field or 'content'}: {problem['msg']}); "
                "another tool or a later version wrote it, or it is damaged"
            ) from error


def manifest_schema() -> str:
    """The JSON schema of `_SUCCESS`, as `docs/manifest.schema.json` holds it."""
    schema = Manifest.model_json_schema(by_alias=True, mode="serialization")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Gristmill manifest, version 1"
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def with_files(head: str, files: Iterable[tuple[str, int, int]]) -> bytes:
    """A manifest's JSON from that of all its other fields, and its files as path, rows and bytes.

    It needs no object for each file, so that a million files fit in memory.
    """
    lines = ",\n".join(f'{{"path":"{path}","rows":{rows},"bytes":{size}}}' for path, rows, size in files)
    return f'{head[:-1]},"files":[\n{lines}\n]}}\n'.encode()


def read_manifest(storage: Storage, location: str) -> Manifest:
    """The manifest of a finished output.

    Raises:
        OutputError: there is no `_SUCCESS` (the message says whether a job seems to be at work), or it is no manifest.
    """
    try:
        data = storage.read_bytes(join(location, SENTINEL))
    except FileNotFoundError:
        raise OutputError(
            f"{location!r} holds no {SENTINEL}, so no finished output{_at_work(storage, location)}"
        ) from None
    return Manifest.from_bytes(data, location=location)


def _at_work(storage: Storage, location: str) -> str:
    log = OutputLog(storage, location)
    numbers = log.numbers()
    entry = log.read(numbers[-1]) if numbers else None
    if entry is None:
        return "; nothing seems to be at work there"
    doing = {
        "claim": "has claimed it and may be at work",
        "publish": "is publishing there; if it has stopped, run it again to finish",
        "released": "stopped before it had an output; run it again to resume",
    }[entry.kind]
    return f"; job {entry.job!r} ({entry.owner}) {doing}"


if __name__ == "__main__":
    sys.stdout.write(manifest_schema())
