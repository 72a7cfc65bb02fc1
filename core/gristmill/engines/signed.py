"""Running a model by a signature that stands beside it: what is written there goes before what the model says."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace

import pyarrow as pa

from gristmill.engines.protocol import BatchModel, LoadContext
from gristmill.engines.result import to_output
from gristmill.inputs.fit import fit_column
from gristmill.models.columns import match_columns
from gristmill.models.signature import Feature, Signature

__all__ = ["SignedModel", "overlaid"]


class SignedModel(BatchModel):
    """A model that is given the signature's inputs, under their names and types, and returns its outputs.

    Args:
        make: builds the model for the columns that it will be given.
        context: of the job.
        signature: inputs and outputs that are None are left as they are.

    Raises:
        SchemaError: the job's columns lack some of the inputs.
    """

    def __init__(self, make: Callable[[LoadContext], BatchModel], context: LoadContext, signature: Signature) -> None:
        self._inputs, self._outputs = signature.inputs, signature.outputs
        self._places: list[int] = []
        if self._inputs is not None:
            schema = context.input_schema
            self._places = match_columns([feature.name for feature in self._inputs], schema)
            kinds = [
                schema.field(place).type if pa.types.is_null(feature.type) else feature.type
                for feature, place in zip(self._inputs, self._places, strict=True)
            ]
            names = [feature.name for feature in self._inputs]
            context = replace(context, input_schema=pa.schema(list(zip(names, kinds, strict=True))))
        self._schema = context.input_schema
        self._model = make(context)

    def infer(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The outputs for a batch; see `gristmill.engines.protocol.BatchModel`."""
        rows = batch.num_rows
        if self._inputs is not None:
            columns = [
                fit_column(batch.column(place), field.type)
                for place, field in zip(self._places, self._schema, strict=True)
            ]
            batch = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        found = self._model.infer(batch)
        return found if self._outputs is None else to_output(found, rows, self._outputs)

    def take_metrics(self) -> Mapping[str, float]:
        """The model's own."""
        return self._model.take_metrics()

    def twin(self) -> "SignedModel | None":
        """The same over the model's twin, for a second thread; None where the model has none."""
        twin = getattr(self._model, "twin", lambda: None)()
        if twin is None:
            return None
        other = copy.copy(self)
        vars(other)["_model"] = twin
        return other

    def close(self) -> None:
        """Close the model."""
        self._model.close()


def overlaid(own: Signature, stored: Signature) -> Signature:
    """What a model says of a function, with what is written of it on top.

    Example:
        >>> own = Signature((Feature("a", pa.null()),), (Feature("output_feature_0", pa.int64()),))
        >>> overlaid(own, Signature((Feature("a", pa.float64()),))).outputs == own.outputs
        True
    """
    return replace(
        stored,
        inputs=_known(stored.inputs, own.inputs),
        outputs=_known(stored.outputs, own.outputs),
        params=stored.params or own.params,
    )


def _known(stored: tuple[Feature, ...] | None, own: tuple[Feature, ...] | None) -> tuple[Feature, ...] | None:
    """The stored features, with types from the model's own where these are open; the own where none are stored."""
    if stored is None or own is None:
        return own if stored is None else stored
    types = {feature.name: feature.type for feature in own}
    return tuple(
        Feature(feature.name, types.get(feature.name, feature.type)) if pa.types.is_null(feature.type) else feature
        for feature in stored
    )
