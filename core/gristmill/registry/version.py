"""One version of a registered model, and what is done with it."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gristmill.errors import ModelError
from gristmill.mlflow.address import registry_address
from gristmill.mlflow.fetch import head_of
from gristmill.mlflow.pin import DIGEST_TAG, VERSION_NAME_TAG, pin_of
from gristmill.mlflow.register import DEFAULT_ALIAS, METRICS_TAG, forget
from gristmill.mlflow.store import calling, client_of
from gristmill.mlflow.stored import StoredModel
from gristmill.models.signature import Signature
from gristmill.registry.tables import functions_frame, moment
from gristmill.storage.storage import Storage

if TYPE_CHECKING:
    from gristmill.inputs.frame import Frame
    from gristmill.jobs.handle import Job
    from gristmill.services.service import Service

__all__ = ["ModelVersion"]


class ModelVersion:
    """A version of a registered model, from `Registry.log_model` or `RegisteredModel.version`.

    What stands here is what it was when it was asked for; its functions are read from its files when they are wanted.

    Attributes:
        model_name: the model's name.
        version_name: the version's own name; its number, as text, where it has none.
        number: counted up by the registry.
        comment: what its author says of it.
        metrics: numbers that its author keeps with it.
        aliases: names of the model that lead to it.
        created_on: when it was registered.
        digest: of the content of its files, where it was logged by Gristmill.
        uri: the registry's address.
    """

    def __init__(self, found: Any, uri: str, storage: Storage) -> None:
        tags = dict(found.tags or {})
        self._found, self._storage = found, storage
        self._stored: StoredModel | None = None
        self.uri = uri
        self.model_name: str = found.name
        self.number = int(found.version)
        self.version_name: str = tags.get(VERSION_NAME_TAG) or str(found.version)
        self.comment: str = found.description or ""
        self.metrics: dict[str, float] = json.loads(tags.get(METRICS_TAG) or "{}")
        self.aliases: tuple[str, ...] = tuple(sorted(found.aliases or ()))
        self.created_on: datetime | None = moment(found.creation_timestamp)
        self.digest: str | None = tags.get(DIGEST_TAG)

    def __repr__(self) -> str:
        name = "" if self.version_name == str(self.number) else f" ({self.version_name})"
        return f"{type(self).__name__}({self.reference}{name})"

    @property
    def reference(self) -> str:
        """The reference that means this version for good: `models:/name/3`."""
        return f"models:/{self.model_name}/{self.number}"

    @property
    def default_function(self) -> str | None:
        """The function that runs when none is named; None where there are several."""
        return self._read().default_function

    def functions(self) -> dict[str, Signature]:
        """The functions by name, with what each takes and returns.

        Raises:
            ModelError: the version is gone, or its files are.
            RegistryError: the registry does not answer.
        """
        return dict(self._read().functions)

    def show_functions(self) -> "Frame":
        """The functions as a table: name, function_type, is_default, inputs, outputs, params."""
        stored = self._read()
        return functions_frame(stored.functions, stored.default_function)

    def _read(self) -> StoredModel:
        if self._stored is None:
            with head_of(pin_of(self._found, self.uri)) as folder:
                self._stored = StoredModel.read(Path(folder))
        return self._stored

    def run(
        self,
        X: Any,  # noqa: N803 - the name users know
        *,
        function_name: str | None = None,
        params: Mapping[str, Any] | None = None,
        **how: Any,
    ) -> Any:
        """Run the version over rows in this process, and give them back with its outputs.

        Args:
            X: the rows, as `gristmill.run` takes them.
            function_name: the function, where the model has several.
            params: values for the function's params.
            how: what else `gristmill.run` takes, such as `partition_column`.

        Returns:
            What came in, with the output columns: a frame of the same library, a table, a relation.
        """
        from gristmill.inplace.run import run

        given = self._placed(how)
        return run(self.reference, X, function_name=function_name, params=params, **given)

    def run_batch(self, X: Any = None, **how: Any) -> "Job":  # noqa: N803 - the name users know
        """Run the version over a dataset, as a job.

        Args:
            X: the rows; or give `query` or `input_location`.
            how: what else `gristmill.run_batch` takes: `compute_pool`, `output_spec`, `input_spec`, `job_spec`, ...

        Returns:
            The job's handle.
        """
        from gristmill.api import run_batch

        return run_batch(self.reference, X, **self._placed(how))

    def create_service(self, name: str, **how: Any) -> "Service":
        """Start a server that answers chats with this version.

        Args:
            name: of the service.
            how: what else `gristmill.create_service` takes, such as `pool`.
        """
        from gristmill.services.functions import create_service

        settings = how.pop("settings", self._storage.settings)
        if self.uri != registry_address(settings):
            settings = settings.model_copy(update={"registry": self.uri})
        return create_service(name, self.reference, settings=settings, **how)

    def _placed(self, how: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments, with this version's registry where it is not the settings' own."""
        found = {"settings": self._storage.settings, **how}
        if self.uri == registry_address(self._storage.settings):
            return found
        return {
            **found,
            "inference_engine_options": {"registry": self.uri, **(how.get("inference_engine_options") or {})},
        }

    def delete(self) -> None:
        """Remove the version from the registry; its number is not given again while newer versions stand.

        Raises:
            ModelError: it is the model's default, or it is gone already.
        """
        client = client_of(self.uri)
        with calling(self.uri, f"model {self.reference!r}"):
            now = client.get_model_version(self.model_name, str(self.number))
            if DEFAULT_ALIAS in (now.aliases or ()):
                raise ModelError(
                    f"version {self.version_name!r} is the default of model {self.model_name!r}: make another version "
                    "the default first, or delete the model"
                )
            client.delete_model_version(self.model_name, str(self.number))
        forget(self.uri, [now])
