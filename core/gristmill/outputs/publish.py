"""`publish`: the parts of a job become the output at its location, as one transaction."""

import secrets
from array import array
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Literal

import pyarrow as pa

from gristmill.errors import LocationError, OutputError, OutputExistsError, SchemaError
from gristmill.outputs.agreement import agree, conform, part_schema
from gristmill.outputs.claim import OutputClaim
from gristmill.outputs.commit import Commit
from gristmill.outputs.contents import contents
from gristmill.outputs.journal import Journal, Move, roll_forward
from gristmill.outputs.layout import SENTINEL, final_name, parts_of, private_of, staging_of
from gristmill.outputs.manifest import Column, Manifest, ManifestHeader
from gristmill.outputs.part import PartWriter
from gristmill.outputs.schema import schema_digest
from gristmill.outputs.sentinel import digest, read_sentinel
from gristmill.spec.enums import SaveMode
from gristmill.storage.location import join
from gristmill.storage.storage import Storage

__all__ = ["publish"]

_THREADS = 8


class _Parts:
    """The parts of an output in order, held compactly; and what they sum up to."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.rows = array("q")
        self.bytes = array("q")
        self.digests: list[str] = []
        self.input_rows = 0
        self.partitions = 0
        self.errors = 0
        self.errors_of: Literal["row", "partition"] = "row"
        self.metrics: dict[str, float] = {}

    @classmethod
    def collect(cls, commits: Iterable[Commit], *, shards: int) -> "_Parts":
        """The parts of commits that cover every row of every shard.

        Raises:
            OutputError: they do not; the message names the first row that is missing.
        """
        parts = cls()
        interned: dict[str, str] = {}
        shard = at = 0
        for commit in commits:
            if commit.shard != shard or commit.start != at or (commit.height and commit.file is None):
                break
            at += commit.rows
            parts.input_rows += commit.rows
            parts.partitions += commit.partitions
            if commit.last:
                shard, at = shard + 1, 0
            parts.errors += commit.errors
            if commit.written is not None:
                parts.errors_of = "partition"
            for name, value in commit.metrics.items():
                parts.metrics[name] = parts.metrics.get(name, 0) + value
            if commit.height and commit.file is not None:
                parts.files.append(commit.file)
                parts.rows.append(commit.height)
                parts.bytes.append(commit.bytes)
                parts.digests.append(interned.setdefault(commit.schema, commit.schema))
        else:
            if shard == shards:
                return parts
        raise OutputError(
            f"the output is not whole: nothing is committed for shard {shard} of {shards} from its row {at} on; "
            "run the job again to resume"
        )


def publish(
    storage: Storage,
    location: str,
    claim: OutputClaim,
    commits: Iterable[Commit],
    *,
    shards: int,
    staging: str,
    mode: SaveMode,
    header: ManifestHeader,
    schema: pa.Schema | None = None,
) -> Manifest:
    """Make a job's committed parts the output at its location, with `_SUCCESS` written last.

    Until the journal is in the location's log nothing of an old output is touched; from then on the new output comes,
    whoever finishes it. Doing it twice is harmless.

    Args:
        storage: where.
        location: the output location, which `claim` holds.
        claim: from `claim_location`.
        commits: by shard and row (see `CommitLog.in_order`).
        shards: how many shards the plan has.
        staging: the job's staging folder, `<location>/_gristmill/<name>`.
        mode: ERROR refuses a location with files; OVERWRITE replaces all of them.
        header: what the manifest says of the job.
        schema: the output's columns; where not given, what the parts agree upon. Needed for an output without rows.

    Returns:
        The manifest, as it stands in `_SUCCESS`.

    Raises:
        LocationError: the staging folder is not at the location.
        OutputError: rows are missing, or a part is.
        OutputExistsError: mode ERROR, and the location holds files; nothing was touched.
        ConflictError: another runner or job holds the location.
        SchemaError: the parts' types have nothing in common.
    """
    if claim.published is not None:
        return claim.published
    claim.assert_held()
    name = staging.rpartition("/")[2]
    if staging != staging_of(location, name):
        raise LocationError(f"staging {staging!r} is not directly below {private_of(location)!r}")
    folder = parts_of(staging)
    parts = _Parts.collect(commits, shards=shards)
    # The old sentinel is looked at before the old files, so that a change in between cannot go unseen.
    sentinel = read_sentinel(storage, location)
    removals = [path for path in contents(storage, location) if path != SENTINEL]
    if mode is SaveMode.ERROR and (removals or sentinel is not None):
        count = len(removals) + (sentinel is not None)
        raise OutputExistsError(
            f"output location {location!r} holds {count} file{'s' if count > 1 else ''} already; "
            "choose another one, or mode=SaveMode.OVERWRITE to replace them"
        )
    _assert_staged(storage, folder, parts)
    agreed = _agree(storage, folder, parts, schema)
    moves = _moves(header.job, parts)
    journal = Journal(
        head=_head(header, claim, parts, agreed),
        staging=name,
        replaces=digest(sentinel) if sentinel is not None else None,
        moves=moves,
        removals=removals,
    )
    entry = claim.begin(journal.lines(), target=journal.sentinel())
    del journal, moves, parts
    return roll_forward(storage, location, entry)


def _assert_staged(storage: Storage, folder: str, parts: _Parts) -> None:
    """Check that every committed part is there and whole, while nothing is lost yet."""
    sizes = {info.location.rpartition("/")[2]: info.size for info in storage.list(folder)} if parts.files else {}
    for file, size in zip(parts.files, parts.bytes, strict=True):
        found = sizes.get(file)
        if found != size:
            what = "is missing" if found is None else f"has {found} bytes instead of {size}"
            raise OutputError(
                f"committed part {join(folder, file)!r} {what}: something else changed the job's staging folder; "
                "delete the job and run it again"
            )


def _agree(storage: Storage, folder: str, parts: _Parts, schema: pa.Schema | None) -> pa.Schema:
    """Give all parts one schema; returns it."""
    samples: dict[str, str] = {}
    weight: dict[str, int] = {}
    for file, key, rows in zip(parts.files, parts.digests, parts.rows, strict=True):
        samples.setdefault(key, file)
        weight[key] = weight.get(key, 0) + rows
    if not samples:
        agreed = pa.schema([]) if schema is None else schema.remove_metadata()
        if schema is not None:
            _add_empty(storage, folder, parts, agreed)
        return agreed
    if schema is not None:
        agreed = schema.remove_metadata()
    else:
        commonest = sorted(samples, key=lambda key: -weight[key])
        agreed = agree([part_schema(storage, join(folder, samples[key])) for key in commonest])
    wanted = schema_digest(agreed)
    odd = [at for at, key in enumerate(parts.digests) if key != wanted]
    token = secrets.token_hex(4)

    def rewrite(at: int) -> None:
        name = f"conformed-{token}-{at:05d}.parquet"
        try:
            part = conform(storage, join(folder, parts.files[at]), join(folder, name), agreed)
        except SchemaError as error:
            raise SchemaError(f"part {parts.files[at]!r}: {error}") from error
        parts.files[at], parts.bytes[at], parts.digests[at] = name, part.bytes, wanted

    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(rewrite, odd):
            pass
    return agreed


def _add_empty(storage: Storage, folder: str, parts: _Parts, schema: pa.Schema) -> None:
    """The one part of an output without rows: readers find the columns in it."""
    name = f"empty-{secrets.token_hex(4)}.parquet"
    part = PartWriter(storage, join(folder, name), schema).close()
    parts.files.append(name)
    parts.rows.append(0)
    parts.bytes.append(part.bytes)
    parts.digests.append(schema_digest(schema))


def _moves(job: str, parts: _Parts) -> list[Move]:
    token = secrets.token_hex(5)
    return [
        (file, final_name(index, job, token), rows, size)
        for index, (file, rows, size) in enumerate(zip(parts.files, parts.rows, parts.bytes, strict=True))
    ]


def _head(header: ManifestHeader, claim: OutputClaim, parts: _Parts, schema: pa.Schema) -> str:
    manifest = Manifest(
        **header.model_dump(),
        generation=claim.entry.number + 1,
        finished=datetime.now(UTC),
        rows=sum(parts.rows),
        input_rows=parts.input_rows,
        partitions=parts.partitions,
        errors=parts.errors,
        errors_of=parts.errors_of,
        tokens=parts.metrics,
        columns=tuple(Column(name=field.name, type=str(field.type)) for field in schema),
        files=(),
    )
    return manifest.model_dump_json(exclude={"files"})
