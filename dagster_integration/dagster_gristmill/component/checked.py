"""`Checked`: fields of a `defs.yaml` whose values are refused with the place where they stand."""

from typing import Any, Self

import dagster as dg
from pydantic import BaseModel, ConfigDict

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
    def resolve_from_model(cls, context: dg.ResolutionContext, model: BaseModel) -> Self:
        """The fields, checked."""
        fields: Self = super().resolve_from_model(context, model)
        try:
            fields.check()
        except (ValueError, dg.DagsterError) as error:
            named = [part for part in context.path if isinstance(part, str)]
            raise context.build_resolve_fn_exc([str(error)], field_name=named[-1], model=model) from None
        return fields
