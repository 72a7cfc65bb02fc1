"""`Checked`: fields of a `defs.yaml` whose values are refused by name, with the place where they stand."""

from copy import copy
from functools import cache
from types import NoneType, UnionType
from typing import Any, Self, Union, get_args, get_origin

import dagster as dg
from dagster.components.resolved.errors import ResolutionException
from dagster_shared.check import CheckError
from pydantic import BaseModel, ConfigDict, create_model

__all__ = ["Checked"]


class Checked(dg.Resolvable, dg.Model):
    """Fields that `check` looks at where the file is loaded; its errors tell file and line."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    def check(self) -> None:
        """Refuse wrong values.

        Raises:
            SpecError: one is wrong; the message names it.
        """

    def given(self) -> dict[str, Any]:
        """The fields that stand in the file; the others have the defaults of what they are given to."""
        return {name: getattr(self, name) for name in self.model_fields_set}

    @classmethod
    def model(cls) -> type[BaseModel]:
        """The schema: Dagster's, in which fields that hold fields hold nothing else."""
        return _exact(super().model())

    @classmethod
    def resolve_from_model(cls, context: dg.ResolutionContext, model: BaseModel) -> Self:
        """The fields, checked."""
        try:
            fields: Self = super().resolve_from_model(context, model)
            fields.check()
        except ResolutionException:  # tells its place already
            raise
        except (ValueError, CheckError, dg.DagsterError) as error:
            named = [part for part in context.path if isinstance(part, str)]
            raise context.build_resolve_fn_exc([str(error)], field_name=named[-1], model=model) from None
        return fields


class _Exact(dg.Model):
    """Marks the schemas of `Checked` classes."""


@cache
def _exact(derived: type[BaseModel]) -> type[BaseModel]:
    """The same schema without texts in the place of fields.

    Dagster lets any value be a text that a template renders. For a value that holds fields, all that comes of it are
    errors that tell of the text instead of the field that is wrong.
    """
    fields: dict[str, Any] = {}
    for name, given in derived.model_fields.items():
        field = copy(given)
        field.annotation = _without_text(given.annotation, may_be_none=given.default is not None)
        fields[name] = (field.annotation, field)
    model: type[BaseModel] = create_model(derived.__name__, __base__=_Exact, **fields)
    model.model_config["json_schema_extra"] = derived.model_config.get("json_schema_extra")
    return model


def _without_text(annotation: Any, *, may_be_none: bool) -> Any:
    if get_origin(annotation) not in (Union, UnionType) or not _holds_fields(annotation):
        return annotation
    dropped = (str,) if may_be_none else (str, NoneType)
    return Union[tuple(part for part in get_args(annotation) if part not in dropped)]  # noqa: UP007 - made here


def _holds_fields(annotation: Any) -> bool:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return issubclass(annotation, _Exact)
    return any(_holds_fields(part) for part in get_args(annotation))
