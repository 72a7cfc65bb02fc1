"""`Call`: a function of a model over rows of known columns, checked as a job is."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from gristmill.chat.params import check_chat_params
from gristmill.chat.signature import settled
from gristmill.inplace.loaded import LoadedFunction
from gristmill.inplace.target import Target
from gristmill.models.params import check_params
from gristmill.models.signature import Signature
from gristmill.partitions.rule import Partitioning, kept_columns
from gristmill.resolve.columns import ColumnResolver
from gristmill.spec.input import ColumnHandling, InputSpec
from gristmill.storage.access import AccessPolicy
from gristmill.storage.storage import Storage
from gristmill.submission import checks

__all__ = ["Call", "call_of"]

_CONTENT_BYTES = 4 * 1024**2
_MOST_CONTENT_BYTES = 256 * 1024**2
"""Content of a batch, where its size was left open and where not; as in a worker."""


@dataclass(frozen=True, slots=True)
class Call:
    """What is run over the rows of a source.

    Attributes:
        target: the function.
        signature: the function's, its outputs as the params make them.
        params: checked and filled up with defaults.
        schema: the input's columns.
        handling: file columns by the input's own names.
        messages: the input's own name of a column of chat messages.
        partitioning: what tells partitions apart, and what becomes of them; None for a function that runs row by row.
        allowed: prefixes that rows may name files under, besides those of the settings.
        max_batch_rows: the user's bound on one call, or None.
        storage: with the settings in force.
    """

    target: Target
    signature: Signature
    params: Mapping[str, Any]
    schema: pa.Schema
    handling: Mapping[str, ColumnHandling]
    messages: str | None
    partitioning: Partitioning | None
    allowed: tuple[str, ...]
    max_batch_rows: int | None
    storage: Storage

    @property
    def kept(self) -> pa.Schema:
        """The columns of the input that stand beside the outputs."""
        return kept_columns(self.schema, self.partitioning)

    @property
    def keeps_rows(self) -> bool:
        """Whether there is an answer for each row, in the order of the rows."""
        return self.partitioning is None

    @property
    def key(self) -> Hashable | None:
        """Tells the loaded function from others; None where nothing tells it again."""
        if self.target.key is None:
            return None
        columns = self.model_schema.serialize().to_pybytes()  # of bytes the hash is remembered; a schema's takes longer
        return (self.target.key, repr(sorted(self.params.items())), columns, self.max_batch_rows)

    @property
    def model_schema(self) -> pa.Schema:
        """The columns as the model receives them."""
        resolver = self.resolver()
        if resolver is None:
            return self.schema
        try:
            return resolver.model_schema(self.schema)
        finally:
            resolver.close()

    def load(self) -> LoadedFunction:
        """The function, loaded for these columns and params."""
        return LoadedFunction(
            self.target,
            self.model_schema,
            params=self.params,
            storage=self.storage,
            max_batch_rows=self.max_batch_rows,
        )

    def resolver(self) -> ColumnResolver | None:
        """What puts files in the places that name them; None where no column does."""
        if not self.handling and self.messages is None:
            return None
        return ColumnResolver(
            self.handling,
            messages=self.messages,
            storage=self.storage,
            access=AccessPolicy(self.storage, self.allowed),
            limits=self.storage.settings.resolver,
            max_rows=self.max_batch_rows,
            target_bytes=_CONTENT_BYTES if self.max_batch_rows is None else _MOST_CONTENT_BYTES,
        )


def call_of(
    target: Target,
    schema: pa.Schema,
    spec: InputSpec,
    *,
    storage: Storage,
    max_batch_rows: int | None = None,
    listed: tuple[str, ...] = (),
) -> Call:
    """A call of a function over rows with these columns.

    Args:
        target: the function.
        schema: the input's columns.
        spec: params, file columns, partitions.
        storage: with the settings in force.
        max_batch_rows: the user's bound on one call, or None.
        listed: where the user has listed the files of the input: those may be opened.

    Raises:
        SpecError: it cannot be; the message names what is wrong, and nothing was run.
    """
    function, signature = target.function, target.signature
    params = check_params(spec.params, signature)
    if signature.is_chat:
        params = check_chat_params(params)
        signature = settled(signature, params, target.options)
    column = checks.check_partitions(schema, spec, signature, function=function)
    partitioning = None
    if signature.kind == "partitioned":
        partitioning = Partitioning("partitioned", column)
    elif column is not None:
        partitioning = Partitioning("table", column)
    messages = checks.check_chat(schema, spec, signature, function=function)
    names = checks.check_columns(schema, spec, signature, function=function)
    handling = {names[given]: one for given, one in (spec.column_handling or {}).items()}
    if handling:
        checks.check_file_columns(handling, schema)
    allowed = tuple(storage.resolve(text, what="allowed_locations") for text in spec.allowed_locations)
    allowed += listed
    return Call(target, signature, params, schema, handling, messages, partitioning, allowed, max_batch_rows, storage)
