"""20,000 small PNG files of handwritten digits, decoded with PIL and classified; local or over the S3 protocol."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.steady import Marking
from benchmarks.workloads.workload import BUCKET, Dataset, FileWorkload

__all__ = ["SIDE", "Media", "MediaS3", "digits_classifier", "load_classifier"]

SIDE = 28


def load_classifier(folder: Path) -> Any:
    """The classifier of flat images that is saved in `folder`."""
    import joblib

    return joblib.load(folder / "model.joblib")


def digits_classifier(folder: Path) -> Callable[[Sequence[bytes]], Any]:
    """A function from encoded images to digits, with the classifier saved in `folder`."""
    import io

    import numpy as np
    from PIL import Image, PngImagePlugin  # noqa: F401 - PIL would look for every plug-in it has

    classifier = load_classifier(folder)

    def classify(contents: Sequence[bytes]) -> Any:
        pixels = np.empty((len(contents), SIDE * SIDE), np.float32)
        for row, content in enumerate(contents):
            pixels[row] = np.asarray(Image.open(io.BytesIO(content), formats=("PNG",))).reshape(-1)
        return classifier.predict(pixels)

    return classify


class Media(FileWorkload):
    """The files on local disk."""

    name = "media"
    rows = 20_000
    batch_rows = 1024

    @property
    def reference(self) -> str:
        """A custom model."""
        return "python:benchmarks.models:Digits"

    def load(self) -> Any:
        """The classifier of flat images."""
        return load_classifier(self.folder)

    def predict(self) -> Any:
        """Decode and classify."""
        return digits_classifier(self.folder)

    def file_name(self, number: int) -> str:
        """Such as `000042.png`."""
        return f"{number:06}.png"

    def prepare(self, rows: int) -> Dataset:
        """28 x 28 grey digits with noise, about 0.8 kB each, and a classifier of them."""
        self.files.mkdir(parents=True, exist_ok=True)
        last = self.files / self.file_name(rows - 1)
        if not last.is_file() or not (self.folder / "model.joblib").is_file():
            self._write(rows)
        return self.write_listing(rows)

    def _write(self, rows: int) -> None:
        import joblib
        import numpy as np
        from PIL import Image
        from sklearn.datasets import load_digits
        from sklearn.linear_model import LogisticRegression

        digits = load_digits()
        nearest = np.arange(SIDE) * 8 // SIDE
        large = digits.images[:, nearest][:, :, nearest] * 14.0
        noise = np.random.default_rng(0)
        for number in range(rows):
            image = large[number % len(large)] + noise.uniform(0, 30, (SIDE, SIDE))
            Image.fromarray(image.astype(np.uint8)).save(self.files / self.file_name(number))
        pixels = large + np.random.default_rng(1).uniform(0, 30, large.shape)
        flat = np.floor(pixels).reshape(len(large), -1).astype(np.float32)
        classifier = LogisticRegression(max_iter=300).fit(flat, digits.target)
        joblib.dump(Marking(classifier), self.folder / "model.joblib")


class MediaS3(Media):
    """The same files as objects."""

    location = f"s3://{BUCKET}/media"
