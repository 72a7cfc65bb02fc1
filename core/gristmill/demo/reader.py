"""The demo's model: it reads a digit from a PNG file's bytes."""

import io
from typing import TYPE_CHECKING, Any

from gristmill.models.custom import CustomModel, inference_api

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["SIDE", "DigitReader", "ink_of"]

SIDE = 8
"""Pixels of a side of scikit-learn's digits."""


def ink_of(png: bytes) -> "np.ndarray[Any, Any]":
    """The picture as scikit-learn has it: 64 values from 0 (paper) to 1 (ink).

    Raises:
        PIL.UnidentifiedImageError: the bytes are no picture.
    """
    import numpy as np
    from PIL import Image

    with Image.open(io.BytesIO(png)) as picture:
        grey = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    return 1 - np.asarray(grey, dtype=float).ravel() / 255


class DigitReader(CustomModel):
    """Reads handwritten digits with the classifier `classifier` of its context.

    Example:
        >>> from gristmill.models.custom import ModelContext
        >>> reader = DigitReader(ModelContext(models={"classifier": fitted}))  # doctest: +SKIP
        >>> reader.predict(frame_with_a_column_image)  # doctest: +SKIP
           digit  confidence
        0      7    0.998123
    """

    @inference_api(inputs={"image": "binary"}, outputs={"digit": "int64", "confidence": "double"})
    def predict(self, df: "pd.DataFrame") -> dict[str, Any]:
        """The digit in each picture, and how sure the classifier is of it, 0 to 1."""
        import numpy as np

        classifier = self.context.model_ref("classifier")
        shares = classifier.predict_proba(np.stack([ink_of(png) for png in df["image"]]))
        return {"digit": classifier.classes_[shares.argmax(axis=1)], "confidence": shares.max(axis=1)}
