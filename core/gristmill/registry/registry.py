"""The registry: models are logged, found, listed and deleted."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gristmill.errors import ModelError, SpecError
from gristmill.mlflow.address import trusted_address
from gristmill.mlflow.pin import VERSION_NAME_TAG, versions_of
from gristmill.mlflow.register import DEFAULT_ALIAS
from gristmill.mlflow.store import calling, client_of
from gristmill.registry.log import log
from gristmill.registry.model import RegisteredModel
from gristmill.registry.options import refuse_keywords
from gristmill.registry.tables import models_frame, moment
from gristmill.registry.version import ModelVersion
from gristmill.settings import Settings
from gristmill.storage.storage import Storage

if TYPE_CHECKING:
    from gristmill.inputs.frame import Frame

__all__ = ["Registry"]

_LISTED = 20


class Registry:
    """Models by name, each with versions, kept by MLflow.

    Models that plain MLflow has logged are there as they are, and those logged here load with plain MLflow.

    Args:
        uri: the address of a registry: a tracking server's `http://host:5000`, or `sqlite:////path/mlflow.db`. None
            for the settings' own, which is a store below the home unless they name one.
        settings: instead of those in force.

    Raises:
        SpecError: the address is none, or holds a password.
        AccessError: it is not among `settings.trusted_registries`.

    Example:
        >>> Registry("sqlite:////srv/models/mlflow.db", settings=Settings(home="memory://home"))
        Registry('sqlite:////srv/models/mlflow.db')
    """

    def __init__(self, uri: str | None = None, *, settings: Settings | None = None) -> None:
        self._storage = Storage(Settings.load() if settings is None else settings)
        self.uri = trusted_address(uri, self._storage.settings)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.uri!r})"

    def log_model(
        self,
        model: Any,
        *,
        model_name: str,
        version_name: str | None = None,
        signatures: Mapping[str, Any] | None = None,
        sample_input_data: Any = None,
        pip_requirements: Sequence[str] | None = None,
        options: Mapping[str, Any] | None = None,
        comment: str | None = None,
        metrics: Mapping[str, float] | None = None,
        **others: Any,
    ) -> ModelVersion:
        """Store a model, and register it as a new version.

        Everything is checked first, and the files are stored before the version is there: a version that can be found
        is whole. The model's first version becomes its default.

        Args:
            model: a scikit-learn estimator, an XGBoost model, a torch module, a transformers pipeline, a
                sentence-transformers model, an object or class with `@inference_api` methods, a function over frames,
                an `mlflow.pyfunc.PythonModel`, `huggingface.TransformersPipeline(...)` for a model that is not to be
                loaded; or a reference: `python:package.module:Class`, the path of a `.pkl` or `.joblib` file,
                `hf:<folder or name>`.
            model_name: the model, which is created where there is none of that name.
            version_name: the version's own name, such as `v1`; None for its number alone.
            signatures: by function: what it takes and returns, instead of what the model says itself.
            sample_input_data: rows from which what is not known of the functions is inferred, by running them.
            pip_requirements: packages that the model needs besides its own library.
            options: `default_function`; `target_methods`, the functions to log; `function_type` and
                `method_options={function: {"function_type": ...}}`, `FUNCTION` or `TABLE_FUNCTION`.
            comment: what the version is.
            metrics: numbers that are kept with it.
            others: none; what other registries take is refused with the reason, or ignored with a warning where it
                changes nothing, such as `target_platforms`.

        Returns:
            The new version.

        Raises:
            SpecError: a name, a signature or an option cannot be right.
            ModelError: the model has a version of that name, or it is no model, or it cannot be stored.
            MissingExtraError: a library that it takes is not installed.
            AccessError, RegistryError: the registry refuses, does not answer, or fails.
        """
        refuse_keywords(others)
        found = log(
            self.uri,
            self._storage,
            model,
            model_name=model_name,
            version_name=version_name,
            signatures=signatures,
            sample_input_data=sample_input_data,
            pip_requirements=pip_requirements,
            options=options,
            comment=comment,
            metrics=metrics,
        )
        return ModelVersion(found, self.uri, self._storage)

    def get_model(self, name: str) -> RegisteredModel:
        """The model of a name.

        Raises:
            ModelError: there is none; says which there are.
            RegistryError: the registry does not answer.
        """
        if not isinstance(name, str) or not name.strip():
            raise SpecError(f"model_name: give a text that is not empty (given: {name!r})")
        client = client_of(self.uri)
        with calling(self.uri):
            from mlflow.exceptions import MlflowException

            try:
                client.get_registered_model(name)
            except MlflowException as error:
                if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"):
                    raise
                there = [model.name for model in client.search_registered_models(max_results=_LISTED + 1)]
                listed = ", ".join(there[:_LISTED]) or "none"
                more = " and others" if len(there) > _LISTED else ""
                raise ModelError(
                    f"model_name: the registry {self.uri} has no model {name!r}; it has: {listed}{more}"
                ) from None
        return RegisteredModel(name, self.uri, self._storage)

    def models(self) -> list[RegisteredModel]:
        """All models, by name."""
        return [RegisteredModel(found.name, self.uri, self._storage) for found in self._all()]

    def _all(self) -> list[Any]:
        client = client_of(self.uri)
        found: list[Any] = []
        token = None
        with calling(self.uri):
            while True:
                page = client.search_registered_models(page_token=token)
                found += page
                token = page.token
                if not token:
                    return sorted(found, key=lambda model: str(model.name))

    def show_models(self) -> "Frame":
        """The models as a table: name, created_on, comment, default_version_name, versions, aliases."""
        client = client_of(self.uri)
        rows = []
        for model in self._all():
            with calling(self.uri, f"model {model.name!r}"):
                versions = versions_of(client, model.name)
            names = {str(one.version): (one.tags or {}).get(VERSION_NAME_TAG) or str(one.version) for one in versions}
            default = str(model.aliases.get(DEFAULT_ALIAS, next(iter(names), "")))
            rows.append(
                {
                    "name": model.name,
                    "created_on": moment(model.creation_timestamp),
                    "comment": model.description or "",
                    "default_version_name": names.get(default),
                    "versions": list(names.values()),
                    "aliases": [
                        f"{alias}={names.get(str(number), number)}" for alias, number in sorted(model.aliases.items())
                    ],
                }
            )
        return models_frame(rows)

    def delete_model(self, name: str) -> None:
        """Remove a model with all its versions.

        Raises:
            ModelError: there is none.
        """
        self.get_model(name).delete()
