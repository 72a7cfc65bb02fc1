"""The custom models that Gristmill runs in the benchmarks."""

import pyarrow as pa

from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.large import digests
from benchmarks.workloads.media import digits_classifier
from gristmill import binary_views, inference_api

__all__ = ["Digest", "Digits"]


class Digits:
    """The digit on each image."""

    def __init__(self) -> None:
        self._classify = digits_classifier(WORKLOADS["media"].folder)

    @inference_api(inputs={"image": "binary"}, outputs={"digit": "int64"})
    def predict(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Decode and classify."""
        return pa.record_batch({"digit": pa.array(self._classify(batch["image"].to_pylist()), pa.int64())})


class Digest:
    """The digest of each file."""

    @inference_api(inputs={"image": "binary"}, outputs={"digest": "string"})
    def predict(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Digest the contents where they are."""
        return pa.record_batch({"digest": digests(binary_views(batch["image"]))})
