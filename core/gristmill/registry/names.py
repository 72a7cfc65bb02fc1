"""Names of models, versions and aliases."""

import re

from gristmill.errors import SpecError

__all__ = ["check_alias", "check_model_name", "check_version_name"]

_LONGEST = 200
_FORBIDDEN = re.compile(r"[/:@'\"`\\\x00-\x1f\x7f]")
_ALIAS = re.compile(r"[A-Za-z0-9_\-]+")
_RESERVED = frozenset({"archived", "latest", "none", "production", "staging"})
"""Words that MLflow reads as something else where a version or an alias is named."""


def check_model_name(name: object) -> str:
    """A model's name that references and queries can hold.

    Raises:
        SpecError: it is none; says why.

    Example:
        >>> check_model_name("Kündigung 2")
        'Kündigung 2'
    """
    return _checked(name, "model_name")


def check_version_name(name: object) -> str:
    """A version's name; a number is no name, since versions have numbers of their own.

    Raises:
        SpecError: it is none; says why.

    Example:
        >>> check_version_name("v1")
        'v1'
    """
    text = _checked(name, "version_name")
    if text.isdigit():
        raise SpecError(f"version_name: {text!r} is a number, as versions have anyway; write it as 'v{text}'")
    if text.lower() in _RESERVED:
        raise SpecError(f"version_name: {text!r} means something else to MLflow; choose another name")
    return text


def check_alias(alias: object) -> str:
    """An alias as MLflow takes it.

    Raises:
        SpecError: it is none; says why.
    """
    text = _checked(alias, "alias")
    if not _ALIAS.fullmatch(text):
        raise SpecError(f"alias: {text!r} must be of letters, digits, '_' and '-'")
    if text.lower() in _RESERVED or text.isdigit() or re.fullmatch(r"[vV]\d+", text):
        raise SpecError(
            f"alias: {text!r} is read as a version or means something else to MLflow; choose a word such as 'champion'"
        )
    return text


def _checked(name: object, what: str) -> str:
    if not isinstance(name, str) or not name.strip():
        raise SpecError(f"{what}: give a text that is not empty (given: {name!r})")
    if name != name.strip():
        raise SpecError(f"{what}: {name!r} begins or ends with a space; leave it out")
    if found := _FORBIDDEN.search(name):
        raise SpecError(f"{what}: {name!r} holds {found[0]!r}, which a reference such as 'models:/name/3' cannot hold")
    if len(name) > _LONGEST:
        raise SpecError(f"{what}: has {len(name)} characters; {_LONGEST} are the most")
    return name
