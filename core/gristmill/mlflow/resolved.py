"""A registered model as a reference to its files on this machine, which engines run."""

from dataclasses import dataclass

from gristmill.mlflow.checkpoint import checkpoint_folder, generates_text
from gristmill.mlflow.fetch import fetched
from gristmill.mlflow.stored import StoredModel
from gristmill.models.reference import parse_reference
from gristmill.settings import Settings
from gristmill.spec.enums import InferenceEngine
from gristmill.storage.storage import Storage

__all__ = ["LocalModel", "local_form", "localized", "resolved"]


_GENERIC = InferenceEngine.PYTHON_GENERIC.value


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model as an engine on this machine is given it.

    Attributes:
        reference: `hf:<folder or name>` for a transformers model, `mlflow:<folder>` for any other registered one; what
            is no registered model stays as it is.
        task: of a transformers model: the task that was stored with it.
        folder: of a registered model: the folder that MLflow has stored, which says more of it than its weights do.
    """

    reference: str
    task: str | None = None
    folder: str | None = None

    def for_engine(self, name: str) -> str:
        """The reference for an engine: the generic one runs a model by the signature that is stored with it.

        Example:
            >>> LocalModel("hf:/m/checkpoint", folder="/m").for_engine("python_generic")
            'mlflow:/m'
        """
        return f"mlflow:{self.folder}" if self.folder is not None and name == _GENERIC else self.reference


def localized(model: str, storage: Storage, *, registry: str | None = None, digest: str | None = None) -> LocalModel:
    """A model reference as one of this machine; files are fetched where they are not here.

    Args:
        model: any reference in normal form.
        storage: its settings name the registry and the cache.
        registry: another registry's address, for `models:`.
        digest: what `models:/name/3` was pinned to; None pins it now.

    Raises:
        ModelError, AccessError, RegistryError: as `gristmill.mlflow.fetch.fetched`.
    """
    reference = parse_reference(model)
    if reference.scheme == "models":
        folder = fetched(model, storage, registry=registry, digest=digest)
    elif reference.scheme == "mlflow":
        folder = reference.target
    else:
        return LocalModel(model)
    return local_form(StoredModel.read(folder), storage.settings)


def local_form(stored: StoredModel, settings: Settings) -> LocalModel:
    """A stored model as an engine is given it."""
    if stored.form == "checkpoint" or (stored.form == "flavor" and generates_text(stored)):
        checkpoint = checkpoint_folder(stored, settings)
        if checkpoint is not None:
            task = stored.task if stored.form == "checkpoint" else "text-generation"
            return LocalModel(f"hf:{checkpoint}", task, stored.folder)
    return LocalModel(f"mlflow:{stored.folder}", folder=stored.folder)


def resolved(model: str, storage: Storage, *, registry: str | None = None, digest: str | None = None) -> str:
    """The same as `localized`, the reference alone that any engine takes.

    Example:
        >>> resolved("echo:", Storage(Settings(home="memory://home")))
        'echo:'
    """
    return localized(model, storage, registry=registry, digest=digest).reference
