"""What goes into a function of a model and what comes out, as Arrow types.

`pa.null()` as a type means "of any type": the name is known and the type is not.
"""

from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

__all__ = ["Bounds", "Feature", "FunctionKind", "Param", "Signature"]

FunctionKind = Literal["scalar", "table", "partitioned"]
"""How a function's rows belong together: each for itself; rows to as many rows, of one partition where there are
partitions; a partition to any number of rows."""


@dataclass(frozen=True, slots=True)
class Feature:
    """A column that a function takes or returns.

    Attributes:
        name: the column's name; inputs match without regard to case.
        type: the Arrow type. A list with a shape is a fixed-size list, a group a struct; `pa.null()` is any type.
    """

    name: str
    type: pa.DataType


@dataclass(frozen=True, slots=True)
class Bounds:
    """From where to where a number may go.

    Attributes:
        least: the smallest value.
        most: the largest value.
        source: what sets them, for errors: where else they may be changed.
    """

    least: float
    most: float
    source: str = ""


@dataclass(frozen=True, slots=True)
class Param:
    """A value that a function takes once for a whole job.

    Attributes:
        name: as the function spells it; users may write it in any case.
        type: the Arrow type of the value. A list with a shape is a fixed-size list, a group a struct, a struct without
            fields any dict, `pa.null()` any value.
        default: the value when the user gives none.
        nullable: whether None is a value; it always is where the default is None.
        choices: the values that it may have; none for any of its type.
        bounds: of a number; None for any of its type.
    """

    name: str
    type: pa.DataType
    default: Any
    nullable: bool = False
    choices: tuple[Any, ...] = ()
    bounds: Bounds | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """The inputs, outputs and params of one function.

    Attributes:
        inputs: the columns it takes; None where the model does not say.
        outputs: the columns it returns; None where the model does not say.
        params: the values it takes once for a whole job.
        is_chat: whether it takes chat messages: a column `messages`, or else a plain `prompt`.
        kind: how its rows belong together.

    Example:
        >>> Signature(outputs=(Feature("label", pa.int64()),)).output_schema()
        label: int64
    """

    inputs: tuple[Feature, ...] | None = None
    outputs: tuple[Feature, ...] | None = None
    params: tuple[Param, ...] = ()
    is_chat: bool = False
    kind: FunctionKind = "scalar"

    def output_schema(self) -> pa.Schema | None:
        """The schema of the output columns; None where a name or a type is not known before running."""
        if self.outputs is None or any(pa.types.is_null(feature.type) for feature in self.outputs):
            return None
        return pa.schema([(feature.name, feature.type) for feature in self.outputs])
