"""Logging a model: everything is checked, its folder is made, and only then is it registered."""

import math
import numbers
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gristmill.engines.result import to_output
from gristmill.errors import GristmillError, ModelError, SpecError
from gristmill.mlflow.custom import check_artifacts
from gristmill.mlflow.log import check_requirements, rewrite, save_model
from gristmill.mlflow.quiet import quiet
from gristmill.mlflow.register import check_is_free, register, workplace
from gristmill.mlflow.stored import Told
from gristmill.models.signature import Feature, Signature
from gristmill.registry.names import check_model_name, check_version_name
from gristmill.registry.options import LogOptions
from gristmill.registry.signing import inferred, is_open, sample_of, signed, with_inputs
from gristmill.registry.subject import Subject, subject_of
from gristmill.storage.storage import Storage

__all__ = ["log"]

_RUN_BY_MLFLOW = ("pyfunc", "pytorch", "xgboost")
"""Flavors whose functions are run on an example as MLflow runs them, where no engine here does."""


def log(
    uri: str,
    storage: Storage,
    model: Any,
    *,
    model_name: str,
    version_name: str | None,
    signatures: Mapping[str, Any] | None,
    sample_input_data: Any,
    pip_requirements: Sequence[str] | None,
    options: Mapping[str, Any] | None,
    comment: str | None,
    metrics: Mapping[str, Any] | None,
) -> Any:
    """Log a model, as `Registry.log_model` says; returns the version as MLflow tells of it."""
    name = check_model_name(model_name)
    if version_name is not None:
        version_name = check_version_name(version_name)
    wishes = LogOptions.of(options)
    requirements = check_requirements(pip_requirements)
    kept = _checked_metrics(metrics)
    if comment is not None and not isinstance(comment, str):
        raise SpecError(f"comment: give a text (given: {comment!r})")
    subject = subject_of(model, storage)
    check_artifacts(subject.model, storage)
    sample = sample_of(sample_input_data)
    functions = wishes.applied(signed(subject, signatures))
    late = sample is not None and subject.form == "flavor" and subject.flavor in _RUN_BY_MLFLOW
    if sample is not None and subject.form not in ("flavor", "checkpoint"):
        functions = {
            function: inferred(subject, function, signature, sample, storage)
            for function, signature in functions.items()
        }
    elif sample is not None:
        functions = {function: with_inputs(signature, sample) for function, signature in functions.items()}
    told = _told(subject, functions, wishes)
    check_is_free(uri, name, version_name)
    with workplace(uri) as folder:
        save_model(subject.model, subject.flavor, told, folder, storage=storage, requirements=requirements)
        if late:
            functions = {function: _run(folder, function, of, sample) for function, of in functions.items()}
            rewrite(folder, _told(subject, functions, wishes))
        return register(uri, folder, name=name, version_name=version_name, comment=comment, metrics=kept)


def _told(subject: Subject, functions: Mapping[str, Signature], wishes: LogOptions) -> Told:
    default = wishes.default_function or subject.default_function
    if default not in functions:
        default = next(iter(functions)) if len(functions) == 1 else None
    return Told(subject.form, functions, default, hub=subject.hub, task=subject.task)


def _run(folder: Path, name: str, signature: Signature, sample: Any) -> Signature:
    """The signature, with the outputs that MLflow's run over the example shows, where they are open."""
    if not is_open(signature.outputs):
        return signature
    import mlflow.pyfunc

    try:
        with quiet():
            model = mlflow.pyfunc.load_model(str(folder))
            found = to_output(model.predict(sample.to_pandas()), sample.num_rows)
    except GristmillError:
        raise
    except Exception as error:  # whatever a user's model raises
        raise ModelError(
            f"the function {name!r} fails on the sample_input_data: {type(error).__name__}: {error}"
        ) from error
    outputs = tuple(Feature(field.name, field.type) for field in found.schema)
    return Signature(signature.inputs, outputs, signature.params, kind=signature.kind)


def _checked_metrics(given: Mapping[str, Any] | None) -> dict[str, float]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise SpecError(f"metrics: give a dict of numbers (given: {type(given).__name__})")
    for name, value in given.items():
        if not isinstance(name, str) or not _is_finite(value):
            raise SpecError(f"metrics.{name}: must be a finite number (given: {value!r})")
    return {name: int(value) if isinstance(value, numbers.Integral) else float(value) for name, value in given.items()}


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False
