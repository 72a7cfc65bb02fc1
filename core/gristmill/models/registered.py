"""References to registered models: `models:/name/3`, `models:/name@alias`, `models:/name`, `models:/name/v1`."""

import re
from dataclasses import dataclass

from gristmill.errors import ModelError

__all__ = ["RegisteredReference", "parse_registered"]

_TARGET = re.compile(r"/([^/:@]+)(?:/([^/@]+)|@([^/@]+))?")
_LOGGED = re.compile(r"/m-[0-9a-f]{32}")
_FORMS = "write models:/name/3 (a version's number or name), models:/name@alias, or models:/name"


@dataclass(frozen=True, slots=True)
class RegisteredReference:
    """A reference to a registered model in its parts.

    Attributes:
        name: the model's name.
        version: the number or the name of a version; None where an alias or nothing is named.
        alias: the alias; None where a version or nothing is named.
    """

    name: str
    version: str | None = None
    alias: str | None = None

    @property
    def number(self) -> int | None:
        """The version's number, where it is one: the only form that means the same for ever."""
        is_number = self.version is not None and self.version.isascii() and self.version.isdigit()
        return int(self.version) if is_number and self.version else None

    def __str__(self) -> str:
        tail = f"/{self.version}" if self.version is not None else f"@{self.alias}" if self.alias is not None else ""
        return f"models:/{self.name}{tail}"


def parse_registered(text: str) -> RegisteredReference:
    """The parts of a reference to a registered model.

    Raises:
        ModelError: it is none; says the forms.

    Example:
        >>> parse_registered("models:/churn@champion")
        RegisteredReference(name='churn', version=None, alias='champion')
        >>> str(parse_registered("models:/churn/3 "))
        'models:/churn/3'
    """
    target = text.strip().removeprefix("models:").rstrip("/")
    match = _TARGET.fullmatch(target)
    if match is None or not match[1].strip():
        raise ModelError(f"model {text!r} does not name a registered model: {_FORMS}")
    if match[2] is None and match[3] is None and _LOGGED.fullmatch(target):
        raise ModelError(
            f"model {text!r} names a logged model that is not registered; register it (mlflow.register_model), and "
            f"{_FORMS}"
        )
    version = None if match[2] is None else match[2].strip()
    return RegisteredReference(match[1].strip(), version, None if match[3] is None else match[3].strip())
