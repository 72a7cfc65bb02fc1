"""300 files of 8 MB, a digest of each: the work is moving bytes."""

import hashlib
from collections.abc import Sequence
from typing import Any

from benchmarks.harness.steady import mark_call
from benchmarks.workloads.workload import Dataset, FileWorkload

__all__ = ["Large", "digests"]

FILE_BYTES = 8_000_000


def digests(contents: Sequence[bytes]) -> list[str]:
    """The SHA-256 of each content, in hexadecimal."""
    mark_call()
    return [hashlib.sha256(content).hexdigest() for content in contents]


class Large(FileWorkload):
    """Big files on local disk."""

    name = "large"
    rows = 300
    batch_rows = 4

    @property
    def reference(self) -> str:
        """A custom model."""
        return "python:benchmarks.models:Digest"

    def predict(self) -> Any:
        """Digest."""
        return digests

    def file_name(self, number: int) -> str:
        """Such as `0042.bin`."""
        return f"{number:04}.bin"

    def prepare(self, rows: int) -> Dataset:
        """Random bytes."""
        import numpy as np

        self.files.mkdir(parents=True, exist_ok=True)
        for number in range(rows):
            path = self.files / self.file_name(number)
            if not path.is_file():
                path.write_bytes(np.random.default_rng(number).bytes(FILE_BYTES))
        return self.write_listing(rows)
