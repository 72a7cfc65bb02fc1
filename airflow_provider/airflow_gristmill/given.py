"""A model as Airflow's templates may see it."""

from typing import Any

from gristmill.declared import as_location

__all__ = ["GivenObject", "as_reference"]


class GivenObject:
    """A model that is no text, kept from Airflow's templates: they would call what can be called.

    Attributes:
        value: the object.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    def __str__(self) -> str:
        kind = self.value if hasattr(self.value, "__qualname__") else type(self.value)
        return f"{kind.__module__}.{kind.__qualname__}"


def as_reference(model: Any) -> Any:
    """A model as templates may see it: texts, and what gives one when the task runs, as they are."""
    model = as_location(model)
    return model if isinstance(model, str) or hasattr(model, "resolve") else GivenObject(model)
