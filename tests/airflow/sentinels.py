"""Sentinels for the tests of what waits for them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from gristmill.outputs.manifest import Manifest, OutputFile
from gristmill.storage.location import join
from gristmill.storage.storage import Storage

FINISHED = datetime(2026, 1, 2, 6, tzinfo=UTC)


def publish(storage: Storage, location: str, **fields: Any) -> Manifest:
    """Write a manifest of two rows, one of which failed, finished on 2 January 2026 at 6 o'clock."""
    manifest = Manifest(
        **{
            "job": "job-a",
            "name": "scores",
            "fingerprint": "f",
            "model": "echo:",
            "function": "echo",
            "created": FINISHED - timedelta(hours=2),
            "started": FINISHED - timedelta(hours=1),
            "generation": 1,
            "finished": FINISHED,
            "rows": 2,
            "errors": 1,
            "columns": (),
            "files": (OutputFile("part-00000-a-b.parquet", 2, 300),),
            **fields,
        }
    )
    storage.write_bytes(join(location, "_SUCCESS"), manifest.to_bytes())
    return manifest
