"""Rows of eight doubles: a light model (`Tables`) and a heavy one (`Heavy`) over the same data."""

from typing import Any

from benchmarks.harness.steady import Marking
from benchmarks.workloads.workload import Dataset, TableWorkload

__all__ = ["Heavy", "Tables"]

FILE_ROWS = 1_000_000
GROUP_ROWS = 250_000


def _matrix(seed: int, rows: int) -> Any:
    import numpy as np

    return np.random.default_rng(seed).standard_normal((8, rows))


def _labels(matrix: Any) -> Any:
    """A curved boundary, so that trees have something to learn."""
    return (matrix[0] + matrix[1] * matrix[2] + 0.5 * matrix[3] ** 2 - 0.5 * matrix[4] > 0.3).astype("int64")


class Tables(TableWorkload):
    """10 M rows, logistic regression: the work is reading and writing."""

    name = "tables"
    rows = 10_000_000
    batch_rows = 65_536

    def prepare(self, rows: int) -> Dataset:
        """Files of a million rows in groups of 250,000, without dictionaries, and the fitted model."""
        dataset = self.dataset(rows)
        if not dataset.inputs.is_dir():
            self._write(dataset)
        if not (self.folder / "model.joblib").is_file():
            self._fit()
        return dataset

    def _write(self, dataset: Dataset) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        partial = dataset.inputs.with_suffix(".partial")
        partial.mkdir(parents=True, exist_ok=True)
        for part, start in enumerate(range(0, dataset.rows, FILE_ROWS)):
            count = min(FILE_ROWS, dataset.rows - start)
            columns = dict(zip(self.features, _matrix(part, count), strict=True))
            table = pa.table({"id": pa.array(range(start, start + count), pa.int64()), **columns})
            pq.write_table(table, partial / f"{part:03}.parquet", use_dictionary=False, row_group_size=GROUP_ROWS)
        partial.rename(dataset.inputs)

    def estimator(self) -> Any:
        """The model before fitting."""
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression()

    def _fit(self) -> None:
        import joblib
        import pandas as pd

        matrix = _matrix(10**6, 50_000)
        frame = pd.DataFrame(dict(zip(self.features, matrix, strict=True)))
        self.folder.mkdir(parents=True, exist_ok=True)
        joblib.dump(Marking(self.estimator().fit(frame, _labels(matrix))), self.folder / "model.joblib")


class Heavy(Tables):
    """1 M rows, gradient boosting: the work is the model's."""

    name = "heavy"
    rows = 1_000_000
    batch_rows = 32_768

    def estimator(self) -> Any:
        """Histogram gradient boosting, which uses the threads it is given."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(max_iter=300, early_stopping=False, random_state=0)
