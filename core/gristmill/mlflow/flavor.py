"""Which of MLflow's flavors, or of ours, stores a model; told without importing the library it comes from."""

from typing import Any, Literal

from gristmill.errors import ModelError
from gristmill.huggingface import TransformersPipeline
from gristmill.models.objects import object_kind

__all__ = ["Flavor", "flavor_of"]

Flavor = Literal[
    "checkpoint",
    "custom",
    "function",
    "pyfunc",
    "pytorch",
    "sentence_transformers",
    "sklearn",
    "transformers",
    "xgboost",
]
"""How a model is stored; `checkpoint`, `custom` and `function` are forms of Gristmill's own."""

_BASES = {
    ("sentence_transformers", "SentenceTransformer"): "sentence_transformers",
    ("torch", "Module"): "pytorch",
    ("xgboost", "Booster"): "xgboost",
    ("xgboost", "XGBModel"): "xgboost",
    ("mlflow", "PythonModel"): "pyfunc",
}
_KNOWN = (
    "a class or an object with @inference_api methods, a function over frames, a scikit-learn estimator, an XGBoost "
    "model, a torch module, a transformers pipeline, huggingface.TransformersPipeline(...), a sentence-transformers "
    "model, or an mlflow.pyfunc.PythonModel"
)


def flavor_of(model: Any) -> Flavor:
    """How an object is stored.

    Raises:
        ModelError: it is no model, or a class of one where an object is wanted.

    Example:
        >>> flavor_of(TransformersPipeline(model="org/name", task="text-generation"))
        'checkpoint'
    """
    if isinstance(model, TransformersPipeline):
        return "checkpoint"
    owner = model if isinstance(model, type) else type(model)
    for base in owner.__mro__:
        found = _BASES.get((base.__module__.partition(".")[0], base.__name__))
        if found is None:
            continue
        if isinstance(model, type):
            raise ModelError(f"the class {owner.__qualname__} is no model yet: give an object of it")
        return found  # type: ignore[return-value]
    try:
        kind = object_kind(model)
    except ModelError as error:
        raise ModelError(f"{str(error).partition(':')[0]}: give {_KNOWN}") from None
    flavors: dict[str, Flavor] = {
        "custom": "custom",
        "estimator": "sklearn",
        "function": "function",
        "pipeline": "transformers",
    }
    return flavors[kind]
