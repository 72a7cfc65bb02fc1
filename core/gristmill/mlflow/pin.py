"""Which version a reference to a registered model means now, and what tells its content from any other's."""

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from gristmill.errors import ModelError
from gristmill.mlflow.address import trusted_address
from gristmill.mlflow.store import calling, client_of
from gristmill.models.registered import RegisteredReference, parse_registered
from gristmill.settings import Settings

__all__ = ["DIGEST_TAG", "VERSION_NAME_TAG", "Pinned", "found_version", "pin_of", "pinned", "versions_of"]

VERSION_NAME_TAG = "gristmill.version_name"
"""The tag of a version that holds the name its author gave it."""
DIGEST_TAG = "gristmill.digest"
"""The tag of a version that holds `folder_digest` of its files, where Gristmill has logged it."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_DEFAULT = "default"
_READY = "READY"
_LISTED = 20


@dataclass(frozen=True, slots=True)
class Pinned:
    """One version of a registered model, for good.

    Attributes:
        reference: by its number, `models:/name/3`.
        digest: of the content of its files, in hex, where Gristmill has logged it; else `version-` and a digest of the
            registration itself, so that a version that is deleted and made anew is another one.
        registry: the address of the registry.
    """

    reference: str
    digest: str
    registry: str

    @property
    def is_of_content(self) -> bool:
        """Whether the digest is that of the files, so that these can be checked and need no registry."""
        return not self.digest.startswith("version-")


def pinned(reference: str, settings: Settings, *, registry: str | None = None) -> Pinned:
    """The version that a reference means now.

    Args:
        reference: `models:/name/3` by number, `models:/name/v1` by the version's name, `models:/name@alias`, or
            `models:/name`: the version that has the alias `default`, else the newest.
        settings: the registry, and which registries are trusted.
        registry: another registry's address.

    Raises:
        ModelError: there is no such model or version; says which there are.
        AccessError: the settings do not trust the registry, or it refuses who asks.
        RegistryError: the registry does not answer.
    """
    wanted = parse_registered(reference)
    address = trusted_address(registry, settings)
    version = found_version(address, wanted)
    if version.status != _READY:
        raise ModelError(
            f"model 'models:/{wanted.name}/{version.version}' is {version.status} in the registry {address}"
            f"{f' ({version.status_message})' if version.status_message else ''}; wait until it is {_READY}, or take "
            "another version"
        )
    return pin_of(version, address)


def pin_of(version: Any, address: str) -> Pinned:
    """The pin for a version as MLflow tells of it."""
    digest = str((version.tags or {}).get(DIGEST_TAG) or "")
    if not _DIGEST.fullmatch(digest):
        said = (version.name, version.version, version.creation_timestamp, version.source, version.run_id)
        digest = "version-" + hashlib.sha256(repr(said).encode()).hexdigest()[:32]
    return Pinned(f"models:/{version.name}/{version.version}", digest, address)


def found_version(address: str, wanted: RegisteredReference) -> Any:
    """MLflow's own object for the version that a reference means in a registry.

    Raises:
        ModelError, AccessError, RegistryError: as `pinned`.
    """
    client = client_of(address)
    with calling(address, f"model {str(wanted)!r}"):
        found = _look_up(client, wanted)
        if found is not None:
            return found
        there = versions_of(client, wanted.name)
        if not there:
            known = [model.name for model in client.search_registered_models(max_results=_LISTED)]
            raise ModelError(
                f"model {str(wanted)!r}: the registry {address} has no version of a model {wanted.name!r}; "
                f"it has: {', '.join(known) or 'none'}"
            )
        listed = ", ".join(_called(version) for version in there[:_LISTED])
        raise ModelError(
            f"model {str(wanted)!r}: the registry {address} has no such version; it has: {listed}"
            f"{' and others' if len(there) > _LISTED else ''}"
        )


def _look_up(client: Any, wanted: RegisteredReference) -> Any:
    """The version; None where there is none."""
    if wanted.number is not None:
        return _or_none(lambda: client.get_model_version(wanted.name, str(wanted.number)))
    if wanted.alias is not None:
        return _or_none(lambda: client.get_model_version_by_alias(wanted.name, wanted.alias))
    if wanted.version is None:
        found = _or_none(lambda: client.get_model_version_by_alias(wanted.name, _DEFAULT))
        return found if found is not None else next(iter(versions_of(client, wanted.name)), None)
    there = versions_of(client, wanted.name)
    named = [version for version in there if (version.tags or {}).get(VERSION_NAME_TAG) == wanted.version]
    if named:
        return named[-1]  # of two that are logged under one name at once, the first one stays
    return there[0] if there and wanted.version.lower() == "latest" else None


def _or_none(ask: Any) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return ask()
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE"):
            return None  # an alias that is not set is said to be an invalid one
        raise


def versions_of(client: Any, name: str) -> list[Any]:
    """All versions of a model as MLflow tells of them, the newest first; none where there is no such model."""
    quote = '"' if "'" in name else "'"
    wanted = None if quote in name else f"name={quote}{name}{quote}"  # MLflow knows no way to write both
    found: list[Any] = []
    token = None
    while True:
        page = client.search_model_versions(wanted, page_token=token)
        found += [version for version in page if version.name == name]
        token = page.token
        if not token:
            return sorted(found, key=lambda version: int(version.version), reverse=True)


def _called(version: Any) -> str:
    name = (version.tags or {}).get(VERSION_NAME_TAG)
    return f"{version.version} ({name})" if name else str(version.version)
