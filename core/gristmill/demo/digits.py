"""The demo's input: 1,797 digits as PNG files, and a classifier that has learned from half of them."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gristmill.errors import MissingExtraError
from gristmill.models.custom import ModelContext

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Digits", "Prepared", "load_digits", "prepare"]

_SCALE = 8
"""How much larger than scikit-learn's the pictures are, so that people can look at them."""


@dataclass(frozen=True, slots=True)
class Digits:
    """The digits and how they are shared out.

    Attributes:
        ink: one row of 64 values, 0 (paper) to 1 (ink), for each digit.
        labels: what each of them is.
        learned: the places of those to learn from.
        unseen: the places of those to read.
    """

    ink: Any
    labels: Any
    learned: Any
    unseen: Any


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the demo's job starts from.

    Attributes:
        images: the folder of all pictures.
        model: the saved model.
        rows: the unseen pictures: `image`, a path, and `label`.
        learned: how many pictures the model has learned from.
    """

    images: Path
    model: Path
    rows: "pa.Table"
    learned: int


def load_digits() -> Digits:
    """The digits of scikit-learn, which come with it, in two halves with the same share of each digit.

    Raises:
        MissingExtraError: scikit-learn or Pillow is not installed.
    """
    for package, module in (("scikit-learn", "sklearn"), ("pillow", "PIL"), ("pandas", "pandas")):
        try:
            __import__(module)
        except ImportError as error:
            raise MissingExtraError.of(package, "demo", need="the demo") from error
    import numpy as np
    from sklearn.datasets import load_digits as load
    from sklearn.model_selection import train_test_split

    ink, labels = load(return_X_y=True)
    learned, unseen = train_test_split(np.arange(len(labels)), test_size=0.5, random_state=0, stratify=labels)
    return Digits(ink / 16, labels, np.sort(learned), np.sort(unseen))


def prepare(folder: Path) -> Prepared:
    """Write the pictures and the model under `folder`, in place of those of an earlier run."""
    import pyarrow as pa

    digits = load_digits()
    images = folder / "images"
    shutil.rmtree(images, ignore_errors=True)
    paths = _write_pictures(digits, images)
    model = folder / "model" / "digits.joblib"
    _train(digits, model)
    rows = pa.table(
        {
            "image": pa.array([str(paths[place]) for place in digits.unseen], pa.string()),
            "label": pa.array(digits.labels[digits.unseen], pa.int64()),
        }
    )
    return Prepared(images, model, rows, len(digits.learned))


def _write_pictures(digits: Digits, images: Path) -> list[Path]:
    import numpy as np
    from PIL import Image

    from gristmill.demo.reader import SIDE

    images.mkdir(parents=True)
    grey = (255 - np.rint(digits.ink * 255)).astype(np.uint8).reshape(-1, SIDE, SIDE)
    large = grey.repeat(_SCALE, axis=1).repeat(_SCALE, axis=2)
    paths = [images.resolve() / f"digit-{place:04d}.png" for place in range(len(large))]
    for path, pixels in zip(paths, large, strict=True):
        Image.fromarray(pixels).save(path)
    return paths


def _train(digits: Digits, target: Path) -> None:
    import joblib
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships none

    from gristmill.demo.reader import DigitReader

    classifier = LogisticRegression(max_iter=1000)
    with threadpool_limits(1):  # so little arithmetic is done sooner than threads can agree on it
        classifier.fit(digits.ink[digits.learned], digits.labels[digits.learned])
    target.parent.mkdir(parents=True, exist_ok=True)
    joblib.dump(DigitReader(ModelContext(models={"classifier": classifier})), target)
