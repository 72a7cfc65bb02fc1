"""Running a scikit-learn estimator: Arrow columns into one reused numpy array, and the result back without copies."""

import warnings
from typing import Any

import pyarrow as pa

from gristmill.engines.features import FeatureInput, feature_input, only_sklearn
from gristmill.engines.protocol import BatchModel, LoadContext, ModelInfo
from gristmill.engines.result import output_name, to_output
from gristmill.engines.threads import ThreadLimit
from gristmill.models.signature import Feature, Signature

__all__ = ["FUNCTIONS", "EstimatorModel", "describe_estimator"]

FUNCTIONS = ("predict", "predict_proba", "predict_log_proba", "decision_function", "transform", "score_samples")
"""The methods of estimators that run over rows."""


def describe_estimator(estimator: Any) -> ModelInfo:
    """The functions of a fitted estimator, with the columns it needs and, where one row tells, those it returns."""
    names = [name for name in FUNCTIONS if hasattr(estimator, name)]
    inputs = _inputs(estimator)
    return ModelInfo(
        functions={name: Signature(inputs, _outputs(estimator, name)) for name in names},
        default_function="predict" if "predict" in names else "transform" if "transform" in names else None,
        uses_gpu=False,
        preload=_modules(estimator),
    )


def _inputs(estimator: Any) -> tuple[Feature, ...] | None:
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else tuple(Feature(str(name), pa.null()) for name in names)


def _outputs(estimator: Any, function: str) -> tuple[Feature, ...] | None:
    """The outputs, from a run over one row of zeros where the estimator takes numbers, else from its classes."""
    import numpy as np

    count = getattr(estimator, "n_features_in_", None)
    if count is not None:
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                sample = to_output(getattr(estimator, function)(np.zeros((1, count))), 1)
            return tuple(Feature(field.name, field.type) for field in sample.schema)
        except Exception:  # noqa: BLE001 - not fit for zeros or for numbers: then the outputs are not known before running
            return None
    classes: Any = getattr(estimator, "classes_", None)
    if not hasattr(classes, "dtype"):
        return None
    if function == "predict":
        return (Feature(output_name(0), pa.array(classes).type),)
    if function in ("predict_proba", "predict_log_proba"):
        return tuple(Feature(output_name(place), pa.float64()) for place in range(len(classes)))
    return None


def _modules(estimator: Any) -> tuple[str, ...]:
    parts = [estimator, *(part for part in estimator.get_params().values() if hasattr(part, "get_params"))]
    found = {type(part).__module__ for part in parts if not isinstance(part, type)}
    return ("numpy", *sorted(name for name in found if name != "__main__"))


class EstimatorModel(BatchModel):
    """A fitted estimator as a batch model.

    Args:
        estimator: the estimator.
        context: which function to run, on which columns, with how many threads.
    """

    def __init__(self, estimator: Any, context: LoadContext) -> None:
        self._estimator, self._context = estimator, context
        self._function = getattr(estimator, context.function)
        self._input: FeatureInput = feature_input(estimator, context.input_schema)
        self._limit = ThreadLimit(context.threads)
        # The columns are matched by name before the estimator sees an array without names.
        warnings.filterwarnings("ignore", message="X does not have valid feature names", category=UserWarning)

    def infer(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The function's outputs; see `gristmill.engines.protocol.BatchModel`."""
        self._limit.apply()
        result = self._function(self._input.take(batch))
        return to_output(self._input.detach(result), batch.num_rows)

    def twin(self) -> "EstimatorModel | None":
        """Another model over the same estimator, for a second thread; None where that might not be safe.

        What scikit-learn fits is read, and not changed, when it predicts.
        """
        return EstimatorModel(self._estimator, self._context) if only_sklearn(self._estimator) else None

    def close(self) -> None:
        """Give back the threads."""
        self._limit.release()
