"""Chats with a service on loopback that answers after 100 ms; 256 in flight."""

from typing import Any

from benchmarks.workloads.workload import DATA, Dataset, Workload

__all__ = ["ServiceWorkload"]


class ServiceWorkload(Workload):
    """Short chats, each a user's message of some 150 letters after a system's; the model is the service's.

    Attributes:
        seconds: that each answer takes.
        in_flight: requests at once.
        model: as the service calls it.
    """

    name = "openai"
    rows = 4_000
    batch_rows = 256
    seconds = 0.1
    in_flight = 256
    model = "bench"

    @property
    def reference(self) -> str:
        """The service's model."""
        return f"openai:{self.model}"

    def dataset(self, rows: int) -> Dataset:
        """Conversations as JSON text."""
        return Dataset(rows, DATA / self.name / str(rows), ("id", "messages"))

    def prepare(self, rows: int) -> Dataset:
        """Eight Parquet files."""
        import json

        import pyarrow as pa
        import pyarrow.parquet as pq

        dataset = self.dataset(rows)
        if dataset.inputs.is_dir():
            return dataset
        partial = dataset.inputs.with_suffix(".partial")
        partial.mkdir(parents=True, exist_ok=True)
        step = -(-rows // 8)
        for part, start in enumerate(range(0, rows, step)):
            ids = range(start, min(start + step, rows))
            texts = [json.dumps(self.conversation(number)) for number in ids]
            pq.write_table(
                pa.table({"id": pa.array(ids, pa.int64()), "messages": texts}), partial / f"{part:03}.parquet"
            )
        partial.rename(dataset.inputs)
        return dataset

    @staticmethod
    def conversation(number: int) -> list[dict[str, Any]]:
        """The messages of a row."""
        order = f"Order {number} of customer {number * 7919 % 10_007}"
        return [
            {"role": "system", "content": "You sort complaints. Answer with one of: late, broken, wrong, other."},
            {
                "role": "user",
                "content": f"{order} arrived {number % 30} days late, and the box was open. " + "Why? " * 20,
            },
        ]
