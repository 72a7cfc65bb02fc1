"""A registered model: its versions, its default, its aliases."""

import numbers
from typing import TYPE_CHECKING, Any

from gristmill.errors import ModelError, SpecError
from gristmill.mlflow.pin import found_version, versions_of
from gristmill.mlflow.register import DEFAULT_ALIAS, forget
from gristmill.mlflow.store import calling, client_of
from gristmill.models.registered import RegisteredReference
from gristmill.registry.names import check_alias
from gristmill.registry.tables import versions_frame
from gristmill.registry.version import ModelVersion
from gristmill.storage.storage import Storage

if TYPE_CHECKING:
    from gristmill.inputs.frame import Frame

__all__ = ["RegisteredModel"]

_NAMED = 20


class RegisteredModel:
    """A registered model, from `Registry.get_model`; what it says is asked of the registry each time.

    Attributes:
        name: the model's name.
        uri: the registry's address.
    """

    def __init__(self, name: str, uri: str, storage: Storage) -> None:
        self.name, self.uri, self._storage = name, uri, storage

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r} of {self.uri})"

    @property
    def comment(self) -> str:
        """What is said of the model."""
        return str(self._ask().description or "")

    @comment.setter
    def comment(self, text: str) -> None:
        if not isinstance(text, str):
            raise SpecError(f"comment: give a text (given: {text!r})")
        client = client_of(self.uri)
        with calling(self.uri, f"model {self.name!r}"):
            client.update_registered_model(self.name, text)

    @property
    def aliases(self) -> dict[str, int]:
        """Numbers of versions by alias."""
        return {alias: int(number) for alias, number in sorted(self._ask().aliases.items())}

    def _ask(self) -> Any:
        client = client_of(self.uri)
        with calling(self.uri, f"model {self.name!r}"):
            return client.get_registered_model(self.name)

    def version(self, version: str | int) -> ModelVersion:
        """A version by its name, its number, or an alias.

        Raises:
            ModelError: there is none; says which there are.
        """
        return self._version(self._find(version))

    def _find(self, version: str | int) -> Any:
        is_number = isinstance(version, numbers.Integral) and not isinstance(version, bool)
        if not (is_number or isinstance(version, str)) or not str(version).strip():
            raise SpecError(f"version: give a version's name or number, or an alias (given: {version!r})")
        text = str(version).strip()
        found = self._ask()
        there = self._all()
        named = [one for one in there if self._version(one).version_name == text]
        if named:
            return named[-1]  # of two that are logged under one name at once, the first one stays
        number = found.aliases.get(text, text)
        for one in there:
            if str(one.version) == str(number):
                return one
        listed = ", ".join(self._version(one).version_name for one in there[:_NAMED]) or "none"
        more = " and others" if len(there) > _NAMED else ""
        aliases = f"; aliases: {', '.join(sorted(found.aliases))}" if found.aliases else ""
        raise ModelError(f"model {self.name!r} has no version {text!r}; it has: {listed}{more}{aliases}")

    def _version(self, found: Any) -> ModelVersion:
        return ModelVersion(found, self.uri, self._storage)

    def _all(self) -> list[Any]:
        """MLflow's own objects, the newest first, each with its aliases."""
        client = client_of(self.uri)
        with calling(self.uri, f"model {self.name!r}"):
            there = versions_of(client, self.name)
            aliases = client.get_registered_model(self.name).aliases
        for one in there:
            one.aliases = [alias for alias, number in aliases.items() if str(number) == str(one.version)]
        return there

    def versions(self) -> list[ModelVersion]:
        """All versions, the newest first."""
        return [self._version(one) for one in self._all()]

    def show_versions(self) -> "Frame":
        """The versions as a table, the newest first.

        Its columns: name, number, created_on, comment, is_default_version, aliases, status, metrics, digest.
        """
        there = self._all()
        default = self._default_of(there)
        rows = []
        for one in there:
            version = self._version(one)
            rows.append(
                {
                    "name": version.version_name,
                    "number": version.number,
                    "created_on": version.created_on,
                    "comment": version.comment,
                    "is_default_version": one is default,
                    "aliases": list(version.aliases),
                    "status": str(one.status),
                    "metrics": ", ".join(f"{name}={value:g}" for name, value in version.metrics.items()) or None,
                    "digest": version.digest,
                }
            )
        return versions_frame(rows)

    @staticmethod
    def _default_of(there: list[Any]) -> Any:
        return next((one for one in there if DEFAULT_ALIAS in one.aliases), there[0] if there else None)

    @property
    def default(self) -> ModelVersion:
        """The version that is meant where none is named: the one that was made so, else the newest.

        It is set with a version, or a version's name or number.

        Raises:
            ModelError: the model has no versions.
        """
        return self._version(found_version(self.uri, RegisteredReference(self.name)))

    @default.setter
    def default(self, version: ModelVersion | str | int) -> None:
        self._point(DEFAULT_ALIAS, version)

    def set_alias(self, alias: str, version: ModelVersion | str | int) -> None:
        """Have an alias lead to a version, and to no other any more.

        Raises:
            SpecError: MLflow takes no such alias, or it is the name of a version.
            ModelError: there is no such version.
        """
        text = check_alias(alias)
        if any(one.version_name == text for one in self.versions()):
            raise SpecError(f"alias: {text!r} is the name of a version of model {self.name!r}; choose another word")
        self._point(text, version)

    def _point(self, alias: str, version: ModelVersion | str | int) -> None:
        if isinstance(version, ModelVersion):
            if (version.model_name, version.uri) != (self.name, self.uri):
                raise SpecError(f"version: {version!r} is not a version of {self!r}")
            version = version.number
        number = str(self._find(version).version)
        client = client_of(self.uri)
        with calling(self.uri, f"model {self.name!r}"):
            client.set_registered_model_alias(self.name, alias, number)

    def unset_alias(self, alias: str) -> None:
        """Remove an alias; the version that it led to stays.

        Raises:
            ModelError: there is no such alias.
        """
        if alias not in self.aliases:
            raise ModelError(f"model {self.name!r} has no alias {alias!r}; it has: {', '.join(self.aliases) or 'none'}")
        client = client_of(self.uri)
        with calling(self.uri, f"model {self.name!r}"):
            client.delete_registered_model_alias(self.name, alias)

    def delete_version(self, version: str | int) -> None:
        """Remove a version, by its name, its number or an alias.

        Raises:
            ModelError: there is no such version, or it is the default.
        """
        self.version(version).delete()

    def delete(self) -> None:
        """Remove the model with all its versions.

        Raises:
            ModelError: it is gone already.
        """
        there = self._all()
        client = client_of(self.uri)
        with calling(self.uri, f"model {self.name!r}"):
            client.delete_registered_model(self.name)
        forget(self.uri, there)
