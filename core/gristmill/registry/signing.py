"""The signatures that a model is logged with: what its functions say, what the user says, what an example shows."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from gristmill.engines.custom import FrameModel
from gristmill.engines.estimator import EstimatorModel
from gristmill.engines.pipeline import PipelineModel
from gristmill.engines.protocol import BatchModel, LoadContext
from gristmill.engines.signed import SignedModel
from gristmill.errors import GristmillError, ModelError, SpecError
from gristmill.mlflow.conversion import from_mlflow_dict
from gristmill.model_signature import ModelSignature
from gristmill.models.columns import match_columns
from gristmill.models.example import example_of
from gristmill.models.objects import instance_of
from gristmill.models.signature import Feature, Signature
from gristmill.registry.subject import Subject
from gristmill.storage.storage import Storage

__all__ = ["SAMPLE_ROWS", "inferred", "is_open", "sample_of", "signed", "with_inputs"]

SAMPLE_ROWS = 10
"""Rows of an example that a function is run on."""


def signed(subject: Subject, given: Mapping[str, Any] | None) -> dict[str, Signature]:
    """The functions of a model, with what the user says of them on top.

    Args:
        subject: the model.
        given: signatures by function: of `gristmill.model_signature`, of MLflow, or `Signature`.

    Raises:
        SpecError: a function is not the model's, a signature says nothing, or it has params that the function does not.
    """
    functions = dict(subject.functions)
    if given is None:
        return functions
    if not isinstance(given, Mapping):
        raise SpecError(f"signatures: give a dict by function, {{'predict': ...}} (given: {type(given).__name__})")
    for name, signature in given.items():
        if name not in functions:
            raise SpecError(f"signatures.{name}: the model has no such function; it has: {', '.join(functions)}")
        functions[name] = _merged(functions[name], _typed(signature, f"signatures.{name}"), subject, str(name))
    return functions


def _typed(given: Any, what: str) -> Signature:
    if isinstance(given, ModelSignature):
        found = given.to_signature()
    elif isinstance(given, Signature):
        found = given
    elif type(given).__module__.startswith("mlflow.") and hasattr(given, "to_dict"):
        found = from_mlflow_dict(given.to_dict())
    else:
        raise SpecError(f"{what}: give a ModelSignature (given: {type(given).__name__})")
    if not (found.inputs or found.outputs or found.params):
        raise SpecError(f"{what}: the signature is empty; give inputs and outputs, or leave it out")
    return found


def _merged(own: Signature, given: Signature, subject: Subject, name: str) -> Signature:
    takes = {param.name for param in own.params}
    extra = [param.name for param in given.params if param.name not in takes]
    if extra and subject.form in ("custom", "function", "estimator"):
        known = f"it takes: {', '.join(sorted(takes))}" if takes else "it takes none"
        raise SpecError(
            f"signatures.{name}: the function has no keyword-only parameter {extra[0]!r} for the param of that name; "
            f"{known}"
        )
    return replace(
        own,
        inputs=own.inputs if given.inputs is None else given.inputs,
        outputs=own.outputs if given.outputs is None else given.outputs,
        params=given.params or own.params,
        kind=own.kind if given.kind == "scalar" else given.kind,
    )


def sample_of(rows: Any) -> pa.Table | None:
    """The first rows of an example of the input; None for None.

    Raises:
        SpecError: it has no rows.
        ModelError: it is nothing that holds rows.
    """
    if rows is None:
        return None
    table = example_of(rows, prefix="input_feature").slice(0, SAMPLE_ROWS)
    if not table.num_rows or not table.num_columns:
        raise SpecError("sample_input_data: give at least one row with one column")
    return table.combine_chunks()


def is_open(features: tuple[Feature, ...] | None) -> bool:
    """Whether a name or a type is not known."""
    return features is None or any(pa.types.is_null(feature.type) for feature in features)


def with_inputs(signature: Signature, sample: pa.Table) -> Signature:
    """The signature, with what it leaves open of its inputs as the example shows it.

    Raises:
        SchemaError: the example lacks a column.
    """
    if not is_open(signature.inputs):
        return signature
    if signature.inputs is None:
        return replace(signature, inputs=tuple(Feature(field.name, field.type) for field in sample.schema))
    places = match_columns([feature.name for feature in signature.inputs], sample.schema)
    pairs = zip(signature.inputs, places, strict=True)
    inputs = tuple(
        Feature(feature.name, sample.schema.field(place).type) if pa.types.is_null(feature.type) else feature
        for feature, place in pairs
    )
    return replace(signature, inputs=inputs)


def inferred(subject: Subject, name: str, signature: Signature, sample: pa.Table, storage: Storage) -> Signature:
    """The signature of a function, with what it leaves open as a run over the example shows it.

    Raises:
        ModelError: the function fails on the example.
        SchemaError: the example lacks a column.
    """
    signature = with_inputs(signature, sample)
    if not is_open(signature.outputs) or signature.kind == "partitioned":
        return signature
    context = LoadContext(
        model=repr(subject.model),
        function=name,
        storage=storage,
        input_schema=sample.schema,
        params={param.name: param.default for param in signature.params},
    )
    try:
        model = SignedModel(lambda given: _loaded(subject, name, given), context, replace(signature, outputs=None))
        try:
            found = model.infer(sample.to_batches()[0])
        finally:
            model.close()
    except GristmillError:
        raise
    except Exception as error:  # whatever a user's function raises
        raise ModelError(
            f"the function {name!r} fails on the sample_input_data: {type(error).__name__}: {error}"
        ) from error
    return replace(signature, outputs=tuple(Feature(field.name, field.type) for field in found.schema))


def _loaded(subject: Subject, name: str, context: LoadContext) -> BatchModel:
    if subject.form == "custom":
        return FrameModel(getattr(instance_of(subject.model), name), context)
    if subject.form == "function":
        return FrameModel(subject.model, context)
    return (
        EstimatorModel(subject.model, context) if subject.form == "estimator" else PipelineModel(subject.model, context)
    )
