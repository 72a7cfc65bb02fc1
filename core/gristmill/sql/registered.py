"""The models of a registry, as functions of SQL."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gristmill.errors import SpecError
from gristmill.inplace.target import Target, target_of
from gristmill.mlflow.address import registry_address, trusted_address
from gristmill.models.registered import RegisteredReference, parse_registered
from gristmill.settings import Settings
from gristmill.sql.entry import Entry, another_name, entries_of, sql_name, unusable
from gristmill.storage.storage import Storage

if TYPE_CHECKING:
    from gristmill.registry.version import ModelVersion

__all__ = ["registered_entries"]

_AT_ONCE = 8


def registered_entries(storage: Storage, *, registry: str | None, models: Iterable[str] | None) -> list[Entry]:
    """The functions of registered models, by what is stored of them: none is loaded.

    Args:
        storage: with the settings in force.
        registry: the registry's address; None for the settings' own, where there may be no model yet.
        models: which: `churn` for its default version, `churn/v2` or `churn@champion` for another, which is then called
            `churn_v2` or `churn_champion`; with or without `models:/`. None for the default versions of all,
            of which one that has no name says why to whoever calls it, and is in nobody else's way.

    Raises:
        ModelError: there is no such model or version.
        AccessError, RegistryError: as `gristmill.Registry`.
    """
    if models is None and not _may_hold_models(storage.settings, registry):
        return []
    from gristmill.registry.registry import Registry

    store = Registry(registry, settings=storage.settings)
    is_all = models is None
    wanted = [RegisteredReference(one.name) for one in store.models()] if models is None else [*map(_parsed, models)]

    def entries(reference: RegisteredReference) -> list[Entry]:
        try:
            found = _entries(reference)
        except SpecError as error:
            if not is_all:
                raise
            return [_unusable(reference, error)]
        return [replace(entry, is_offered=is_all) for entry in found]

    def _entries(reference: RegisteredReference) -> list[Entry]:
        model = store.get_model(reference.name)
        tail = reference.version if reference.version is not None else reference.alias
        version = model.default if tail is None else model.version(tail)
        name = _sql_name(reference.name if tail is None else f"{reference.name}_{_named(tail)}", reference.name)
        return _of_version(name, version, storage, registry)

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="models") as pool:
        return [entry for found in pool.map(entries, wanted) for entry in found]


def _sql_name(text: str, model: str) -> str:
    try:
        return sql_name(text)
    except SpecError:
        raise SpecError(
            f"the model {model!r} of the registry has no letter or digit in its name, so that it has none in SQL; "
            f"{another_name(f'models:/{model}')}"
        ) from None


def _unusable(reference: RegisteredReference, error: SpecError) -> Entry:
    """What says why a model of the registry cannot be called, to a query that calls it by its name."""
    try:
        name = sql_name(reference.name)
    except SpecError:
        name = reference.name.lower()
    return unusable(name, f"models:/{reference.name}", str(error))


def _named(version: str) -> str:
    return f"v{version}" if version.isdigit() else version


def _parsed(text: str) -> RegisteredReference:
    if not isinstance(text, str):
        raise SpecError(
            f"models: give names such as 'churn' or 'churn/v2', or a dict of names and models (given: {text!r})"
        )
    return parse_registered(text if text.startswith("models:") else f"models:/{text.strip()}")


def _of_version(name: str, version: "ModelVersion", storage: Storage, registry: str | None) -> list[Entry]:
    options: dict[str, Any] = {} if registry is None else {"registry": registry}

    def find(function: str) -> Target:
        return target_of(version.reference, storage, function_name=function, engine_options=options)

    key = f"{version.uri} {version.reference} {version.digest or version.created_on}"
    return entries_of(name, version.functions(), version.default_function, model=version.reference, find=find, key=key)


def _may_hold_models(settings: Settings, registry: str | None) -> bool:
    """Whether there can be any: a store of one's own that nobody has used yet is not made for being asked."""
    address = registry_address(settings) if registry is None else trusted_address(registry, settings)
    if registry is not None or settings.registry is not None or not address.startswith("sqlite:"):
        return True
    return Path(address.removeprefix("sqlite:///")).exists()
