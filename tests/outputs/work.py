"""A small job's work at an output location, and what must be true of the location afterwards."""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from gristmill.outputs.claim import ClaimEntry, claim_location
from gristmill.outputs.commit import Commit, CommitLog
from gristmill.outputs.layout import PRIVATE, SENTINEL, parts_of, staging_of
from gristmill.outputs.manifest import Manifest, ManifestHeader, read_manifest
from gristmill.outputs.part import PartWriter
from gristmill.outputs.publish import publish
from gristmill.outputs.read import read_output
from gristmill.outputs.schema import schema_digest
from gristmill.spec.enums import SaveMode
from gristmill.storage.location import join
from gristmill.storage.storage import Storage

SCHEMA = pa.schema({"job": pa.string(), "row": pa.int64()})


def dead(entry: ClaimEntry) -> bool:
    return False


def live(entry: ClaimEntry) -> bool:
    return True


def header(job: str) -> ManifestHeader:
    return ManifestHeader(
        job=job,
        name=job,
        fingerprint="f",
        model="echo:",
        function="echo",
        created=1_700_000_000.0,
        started=1_700_000_001.0,
    )


@dataclass(frozen=True)
class Work:
    """A job of `shards` shards of two rows, at a location."""

    storage: Storage
    location: str
    job: str
    shards: int = 3

    @property
    def staging(self) -> str:
        return staging_of(self.location, self.job)

    @property
    def log(self) -> CommitLog:
        return CommitLog(self.storage, self.staging, generation=1)

    @property
    def rows(self) -> pa.Table:
        count = 2 * self.shards
        return pa.table({"job": [self.job] * count, "row": range(count)}, SCHEMA)

    def do(self) -> "Work":
        """Write and commit every part, last shard first."""
        commits = []
        for shard in reversed(range(self.shards)):
            file = f"{shard:x}.parquet"
            with PartWriter(self.storage, join(parts_of(self.staging), file), SCHEMA) as part:
                part.write(self.rows.slice(2 * shard, 2).to_batches()[0])
                size = part.close().bytes
            commits.append(
                Commit(
                    shard, 0, 2, file, size, errors=0, schema=schema_digest(SCHEMA), last=True, metrics={"prompt": 3}
                )
            )
        self.log.append(commits)
        return self

    def publish(
        self,
        mode: SaveMode = SaveMode.OVERWRITE,
        *,
        generation: int = 1,
        is_live: Callable[[ClaimEntry], bool] = dead,
        storage: Storage | None = None,
    ) -> Manifest:
        """Claim, publish, and let go, as a runner does."""
        storage = self.storage if storage is None else storage
        claim = claim_location(
            storage, self.location, job=self.job, generation=generation, home="/home", is_live=is_live
        )
        try:
            return publish(
                storage,
                self.location,
                claim,
                self.log.in_order(self.shards) if claim.published is None else (),
                shards=self.shards,
                staging=self.staging,
                mode=mode,
                header=header(self.job),
            )
        finally:
            claim.release()


def files(storage: Storage, location: str, *, private: bool = True) -> list[str]:
    """What stands at a location, relative to it."""
    found = [info.location[len(location) + 1 :] for info in storage.list(location)]
    return [file for file in found if private or not file.startswith(f"{PRIVATE}/")]


def assert_output(work: Work, *, alone: bool = True) -> None:
    """The location holds exactly this job's output; `alone`, and nothing of Gristmill's own besides."""
    manifest = read_manifest(work.storage, work.location)
    assert manifest.job == work.job
    assert manifest.rows == work.rows.num_rows
    assert read_output(work.storage, work.location).equals(work.rows)
    named = sorted([SENTINEL, *(file.path for file in manifest.files)])
    assert files(work.storage, work.location, private=alone) == named
