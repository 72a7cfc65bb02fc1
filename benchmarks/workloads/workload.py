"""What a workload is: deterministic data, a model, and the right answer's shape. Light to import."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["DATA", "Dataset", "FileWorkload", "TableWorkload", "Workload", "read_file"]

DATA = Path(__file__).resolve().parents[1] / "data"
BUCKET = "bench"


def read_file(path: str) -> bytes:
    """The content of a local file, with as few calls as it takes."""
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, os.fstat(file).st_size)
    finally:
        os.close(file)


@dataclass(frozen=True)
class Dataset:
    """The input of one run.

    Attributes:
        rows: how many rows `inputs` holds.
        inputs: a folder of Parquet files; every row has an `id`, 0 to rows - 1, in order.
        columns: the names of the input columns.
        alike: the share of predictions that must be the first contestant's.
    """

    rows: int
    inputs: Path
    columns: tuple[str, ...]
    alike: float = 1.0


class Workload:
    """Some data and a model.

    Attributes:
        name: the workload's name, also of its folder under `benchmarks/data`.
        rows: rows at full size.
        batch_rows: a good number of rows of one call of the model.
        look: seconds between looks at memory, which take a little time of the processors.
    """

    name: str
    rows: int
    batch_rows: int
    look: float = 0.05

    @property
    def folder(self) -> Path:
        """Where data and model are kept."""
        return DATA / self.name

    @property
    def reference(self) -> str:
        """The model as a reference that Gristmill takes."""
        raise NotImplementedError

    def prepare(self, rows: int) -> Dataset:
        """Write data and model, unless they are there already."""
        raise NotImplementedError

    def dataset(self, rows: int) -> Dataset:
        """The data that `prepare` wrote."""
        raise NotImplementedError


class TableWorkload(Workload):
    """Rows of doubles, all columns out again with a prediction."""

    features: tuple[str, ...] = tuple(f"f{number}" for number in range(8))

    @property
    def reference(self) -> str:
        """A saved estimator."""
        return str(self.folder / "model.joblib")

    def load(self) -> Any:
        """The estimator, fit to be given arrays: it no longer expects the names it was fitted with."""
        import joblib

        estimator = joblib.load(self.folder / "model.joblib")
        vars(estimator).pop("feature_names_in_", None)
        return estimator

    def dataset(self, rows: int) -> Dataset:
        """The tables, with an `id` first."""
        return Dataset(rows, DATA / "tables" / str(rows), ("id", *self.features))


class FileWorkload(Workload):
    """Files named by a listing; the column `image` holds their paths.

    Attributes:
        location: None for local files, else the S3 protocol, through the server of `benchmarks.s3_server`.
        batch_bytes: about how much one batch of contents holds.
    """

    location: str | None = None

    def predict(self) -> Any:
        """A function from a list of contents to a list or array of predictions."""
        raise NotImplementedError

    def file_name(self, number: int) -> str:
        """The name of file `number`."""
        raise NotImplementedError

    @property
    def files(self) -> Path:
        """The folder of the files."""
        return self.folder / "files"

    @property
    def prefix(self) -> str:
        """The location rows name files under, with a slash at the end."""
        return f"{self.location or self.files}/"

    def dataset(self, rows: int) -> Dataset:
        """The listing."""
        kind = "local" if self.location is None else "s3"
        return Dataset(rows, self.folder / f"listing-{kind}-{rows}", ("id", "image"))

    def write_listing(self, rows: int) -> Dataset:
        """Write the listing: eight Parquet files, so that everybody can split it."""
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
            paths = [f"{self.prefix}{self.file_name(number)}" for number in ids]
            pq.write_table(pa.table({"id": pa.array(ids, pa.int64()), "image": paths}), partial / f"{part:03}.parquet")
        partial.rename(dataset.inputs)
        return dataset
