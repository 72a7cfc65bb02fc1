"""Where models are registered: the settings' registry, or a store of one's own."""

import os
from pathlib import Path

from gristmill.errors import AccessError, SpecError
from gristmill.settings import Settings
from gristmill.spec.registry import checked_registry, is_trusted
from gristmill.storage.location import is_local, join, normalize

__all__ = ["registry_address", "trusted_address"]


def registry_address(settings: Settings) -> str:
    """The address of the registry that the settings name, in its usual spelling.

    Where they name none, that of a SQLite store below the home, or in the user's data folder where the home is not a
    folder of this machine. Nothing is created.

    Raises:
        SpecError: the home's name holds what the address of a SQLite store cannot.

    Example:
        >>> registry_address(Settings(home="/srv/gristmill"))
        'sqlite:////srv/gristmill/registry/mlflow.db'
    """
    if settings.registry is not None:
        return settings.registry
    home = normalize(settings.home, settings.stages, what="settings.home")
    if not is_local(home):
        data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
        home = str(Path(data) / "gristmill")
    try:
        return checked_registry(f"sqlite:///{join(home, 'registry', 'mlflow.db')}")
    except ValueError as error:
        raise SpecError(f"settings.home: {home!r} {error}, or name a registry in settings.registry") from None


def trusted_address(registry: str | None, settings: Settings) -> str:
    """The address of a registry that models may be loaded from; None for the settings' own.

    Raises:
        SpecError: it is no address, or holds a password.
        AccessError: the settings do not trust it.

    Example:
        >>> trusted_address("http://mlflow.lab:5000/", Settings(home="/srv/gristmill"))
        'http://mlflow.lab:5000'
    """
    if registry is not None and not isinstance(registry, str):
        raise SpecError(f"registry: give an address as text (given: {registry!r})")
    try:
        address = registry_address(settings) if registry is None else checked_registry(registry)
    except SpecError:
        raise
    except ValueError as error:
        raise SpecError(f"registry: {error}") from None
    if not is_trusted(address, settings.trusted_registries):
        known = ", ".join(settings.trusted_registries or ()) or "none"
        raise AccessError(
            f"the registry {address} is not among settings.trusted_registries ({known}), and loading a model may run "
            "its code; add the registry to the list if you trust whoever can write to it"
        )
    return address
