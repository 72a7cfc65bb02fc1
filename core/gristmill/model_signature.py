"""Signatures of a model's functions in the words that some know: specs of features, groups and params.

They say the same as `gristmill.models.signature`, whose Arrow types they become: a shape `(2,)` is a list of that
length, `(-1,)` a list of any, `(-1, 3)` a list of lists; a group is a struct.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from gristmill.errors import ModelError, SpecError
from gristmill.models.params import check_value
from gristmill.models.signature import Feature, Param, Signature
from gristmill.spec.base import Spec

__all__ = [
    "DataType",
    "FeatureGroupSpec",
    "FeatureSpec",
    "ModelSignature",
    "ParamGroupSpec",
    "ParamSpec",
    "infer_signature",
]


class DataType(Enum):
    """The type of a value."""

    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    FLOAT = "FLOAT"
    DOUBLE = "DOUBLE"
    BOOL = "BOOL"
    STRING = "STRING"
    BYTES = "BYTES"
    TIMESTAMP_NTZ = "TIMESTAMP_NTZ"

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type.

        Example:
            >>> DataType.BYTES.arrow
            DataType(binary)
        """
        return _ARROW[self]


_ARROW = {
    **{kind: getattr(pa, kind.value.lower())() for kind in DataType if "INT" in kind.value},
    DataType.FLOAT: pa.float32(),
    DataType.DOUBLE: pa.float64(),
    DataType.BOOL: pa.bool_(),
    DataType.STRING: pa.string(),
    DataType.BYTES: pa.binary(),
    DataType.TIMESTAMP_NTZ: pa.timestamp("us"),
}


class _Shaped(Spec):
    """What has a name and a shape.

    Attributes:
        name: of a column, of a field of a group, or of a param.
        shape: the lengths of lists, from the outer to the inner; -1 is any length, None no list.
    """

    name: str = Field(min_length=1)
    shape: tuple[int, ...] | None = None

    @field_validator("shape")
    @classmethod
    def _lengths(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and (not value or any(length < -1 for length in value)):
            raise ValueError("must be lengths such as (2,), with -1 for any length; leave it out for a single value")
        return value

    def _in_shape(self, kind: pa.DataType) -> pa.DataType:
        for length in reversed(self.shape or ()):
            kind = pa.list_(kind, length)
        return kind


class _Group(_Shaped):
    """What has fields."""

    specs: tuple[Any, ...]

    @field_validator("specs")
    @classmethod
    def _fields(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        return _unique(value, "fields")

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type."""
        return self._in_shape(pa.struct([(spec.name, spec.arrow) for spec in self.specs]))


class FeatureSpec(_Shaped):
    """A column of a type.

    Attributes:
        dtype: the type of its values, or of what stands in their lists.

    Example:
        >>> FeatureSpec(name="timestamp", dtype=DataType.DOUBLE, shape=(2,)).arrow
        FixedSizeListType(fixed_size_list<item: double>[2])
    """

    dtype: DataType

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type."""
        return self._in_shape(self.dtype.arrow)


class FeatureGroupSpec(_Group):
    """A column whose values have fields.

    Attributes:
        specs: the fields.

    Example:
        >>> FeatureGroupSpec(name="out", specs=[FeatureSpec(name="text", dtype=DataType.STRING)], shape=(-1,)).arrow
        ListType(list<item: struct<text: string>>)
    """

    specs: tuple["FeatureSpec | FeatureGroupSpec", ...]


class ParamSpec(_Shaped):
    """A value that a function takes once for a whole job.

    Attributes:
        dtype: its type, or that of what stands in its lists.
        default_value: what it is where nobody says otherwise; with None, None is a value.

    Example:
        >>> ParamSpec(name="threshold", dtype=DataType.DOUBLE, default_value=1).param
        Param(name='threshold', type=DataType(double), default=1.0, nullable=False, choices=(), bounds=None)
    """

    dtype: DataType
    default_value: Any

    @model_validator(mode="after")
    def _fitting(self) -> "ParamSpec":
        if self.default_value is not None:
            check_value(self.default_value, self.arrow, what="default_value")
        return self

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type."""
        return self._in_shape(self.dtype.arrow)

    @property
    def param(self) -> Param:
        """As a param of a signature."""
        given, kind = self.default_value, self.arrow
        default = None if given is None else check_value(given, kind, what=f"the default of {self.name!r}")
        return Param(self.name, kind, default, nullable=given is None)


class ParamGroupSpec(_Group):
    """A dict that a function takes once for a whole job; what is given is merged into the fields' defaults.

    With a shape it is a list of such dicts, empty unless given.

    Attributes:
        specs: the fields.

    Example:
        >>> ParamGroupSpec(name="how", specs=[ParamSpec(name="n", dtype=DataType.INT64, default_value=3)]).param.default
        {'n': 3}
    """

    specs: tuple["ParamSpec | ParamGroupSpec", ...]

    @property
    def param(self) -> Param:
        """As a param of a signature."""
        default: Any = {spec.name: spec.param.default for spec in self.specs}
        return Param(self.name, self.arrow, default if self.shape is None else [])


def _unique(specs: Sequence[Any], what: str) -> tuple[Any, ...]:
    names = [spec.name.lower() for spec in specs]
    twice = next((spec.name for spec in specs if names.count(spec.name.lower()) > 1), None)
    if twice is not None:
        raise ValueError(f"has two {what} named {twice!r}; names match without regard to case, so rename one")
    if not specs and what == "fields":
        raise ValueError("has no fields; give at least one")
    return tuple(specs)


class ModelSignature(Spec):
    """What a function takes and returns.

    Attributes:
        inputs: the columns it takes.
        outputs: the columns it returns.
        params: the values it takes once for a whole job.

    Example:
        >>> signature = ModelSignature(
        ...     inputs=[FeatureSpec(name="text", dtype=DataType.STRING)],
        ...     outputs=[FeatureSpec(name="vector", dtype=DataType.FLOAT, shape=(384,))],
        ... )
        >>> signature.to_signature().output_schema()
        vector: fixed_size_list<item: float>[384]
          child 0, item: float
    """

    inputs: tuple[FeatureSpec | FeatureGroupSpec, ...] = ()
    outputs: tuple[FeatureSpec | FeatureGroupSpec, ...] = ()
    params: tuple[ParamSpec | ParamGroupSpec, ...] = ()

    @field_validator("inputs", "outputs", "params")
    @classmethod
    def _names(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        return _unique(value, "entries")

    def to_signature(self) -> Signature:
        """As Arrow types; what has no entries is left open.

        Raises:
            SpecError: a default does not fit its type.
        """
        inputs, outputs = (
            tuple(Feature(spec.name, spec.arrow) for spec in specs) or None for specs in (self.inputs, self.outputs)
        )
        return Signature(inputs, outputs, tuple(spec.param for spec in self.params))


def infer_signature(
    input_data: Any, output_data: Any = None, params: Mapping[str, Any] | Sequence[Any] | None = None
) -> Signature:
    """A signature from an example of what goes in and what comes out.

    Columns without names are called `input_feature_0`, ... and `output_feature_0`, ..., as a job calls them.

    Args:
        input_data: rows: a frame, an Arrow table, a numpy array, a list of dicts or of values.
        output_data: what the function returns for them; None leaves the outputs open.
        params: defaults by name, whose types follow from them, or specs of params.

    Raises:
        ModelError: the example has no rows or no columns.

    Example:
        >>> infer_signature(pa.table({"x": [1]}), [0.5], params={"k": 3}).output_schema()
        output_feature_0: double
    """
    from gristmill.models.example import example_of

    inputs = _features(example_of(input_data, prefix="input_feature"), "input_data")
    outputs = (
        None if output_data is None else _features(example_of(output_data, prefix="output_feature"), "output_data")
    )
    return Signature(inputs, outputs, _params(params))


def _features(table: pa.Table, what: str) -> tuple[Feature, ...]:
    if not table.num_columns or not table.num_rows:
        raise ModelError(f"{what}: an example needs at least one row and one column, so that types can be told")
    return tuple(Feature(field.name, field.type) for field in table.schema)


def _params(given: Mapping[str, Any] | Sequence[Any] | None) -> tuple[Param, ...]:
    from gristmill.models.types import annotated_type

    if given is None:
        return ()
    if isinstance(given, Mapping) and all(isinstance(name, str) for name in given):
        plain = {name: value.tolist() if hasattr(value, "tolist") else value for name, value in given.items()}
        return tuple(Param(name, annotated_type(None, value)[0], value) for name, value in plain.items())
    if not isinstance(given, list | tuple) or not all(isinstance(spec, ParamSpec | ParamGroupSpec) for spec in given):
        raise SpecError("params: give defaults by name, {'k': 3}, or a list of ParamSpec and ParamGroupSpec")
    return tuple(spec.param for spec in given)
