"""A model's folder becomes a version of a registered model; and versions are forgotten again."""

import errno
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from gristmill.errors import GristmillError, ModelError, RegistryError
from gristmill.mlflow.digest import folder_digest
from gristmill.mlflow.pin import DIGEST_TAG, VERSION_NAME_TAG, versions_of
from gristmill.mlflow.store import artifacts_of, calling, client_of

__all__ = ["DEFAULT_ALIAS", "LOGGED_TAG", "METRICS_TAG", "check_is_free", "forget", "register", "workplace"]

DEFAULT_ALIAS = "default"
"""The alias of the version that is meant where none is named."""
LOGGED_TAG = "gristmill.logged_model"
"""The tag of a version that holds the id of MLflow's record of its files."""
METRICS_TAG = "gristmill.metrics"
"""The tag of a version that holds its author's metrics, as JSON."""

_EXPERIMENT = "gristmill"


def check_is_free(uri: str, name: str, version_name: str | None) -> None:
    """Refuse a version's name that a model has already, as a version or as an alias.

    Raises:
        ModelError: it has.
    """
    if version_name is None:
        return
    client = client_of(uri)
    with calling(uri, f"model {name!r}"):
        versions = versions_of(client, name)
        if any((version.tags or {}).get(VERSION_NAME_TAG) == version_name for version in versions):
            raise _taken(name, version_name)
        if versions and version_name in client.get_registered_model(name).aliases:
            raise ModelError(f"version_name: {version_name!r} is an alias of model {name!r}; choose another name")


def _taken(name: str, version_name: str) -> ModelError:
    return ModelError(
        f"version {version_name!r} of model {name!r} exists already; choose another version_name, or delete that one"
    )


@contextmanager
def workplace(uri: str) -> Iterator[Path]:
    """A folder in which a model's folder `model` can be made; it is gone afterwards.

    For a store of this machine it stands where the files will be, so that they need not be copied.

    Raises:
        RegistryError: there is no room, or no such place.
    """
    root = None
    try:
        if uri.startswith("sqlite"):
            root = Path(unquote(urlsplit(artifacts_of(uri)).path))
            root.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="gristmill-", dir=root))
    except OSError as error:
        raise RegistryError(f"the model has no place to be written in: {error}") from error
    try:
        yield folder / "model"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def register(
    uri: str,
    folder: Path,
    *,
    name: str,
    version_name: str | None = None,
    comment: str | None = None,
    metrics: Mapping[str, float] | None = None,
) -> Any:
    """Store a model's folder and register it; of two that do so under one version's name at once, one is refused.

    The files are stored first: a version that is registered is whole.

    Args:
        uri: the registry.
        folder: the model's; it is moved where the store is on this machine.
        name: of the model, which is created where there is none.
        version_name: the version's own name; None for its number alone.
        comment: what the version is.
        metrics: numbers that its author keeps with it.

    Returns:
        The version as MLflow tells of it.

    Raises:
        ModelError: the model has a version of that name.
        AccessError, RegistryError: the registry refuses or fails; no version is left then.
    """
    client = client_of(uri)
    digest = folder_digest(folder)
    with calling(uri, f"model {name!r}"):
        logged = client.create_logged_model(_experiment(client, uri), name=None)
        try:
            _store(client, logged, folder, is_here=uri.startswith("sqlite"))
            client.finalize_logged_model(logged.model_id, "READY")
            tags = {DIGEST_TAG: digest, LOGGED_TAG: logged.model_id}
            if version_name is not None:
                tags[VERSION_NAME_TAG] = version_name
            if metrics:
                tags[METRICS_TAG] = json.dumps(dict(metrics))
            return _version(client, uri, logged, name=name, tags=tags, comment=comment)
        except BaseException:
            _discard(client, logged, is_here=uri.startswith("sqlite"))
            raise


def _experiment(client: Any, uri: str) -> str:
    found = client.get_experiment_by_name(_EXPERIMENT)
    if found is None:
        if _is_database(uri) and not uri.startswith("sqlite"):
            raise RegistryError(
                f"the registry {uri} is a database without a server, and no place for files is known: run a server "
                f"over it, or create the experiment {_EXPERIMENT!r} there with an artifact location"
            )
        place = artifacts_of(uri) if uri.startswith("sqlite") else None
        with suppress(_mlflow_error()):  # another process has just made it, or what is wrong is told below
            return str(client.create_experiment(_EXPERIMENT, artifact_location=place))
        found = client.get_experiment_by_name(_EXPERIMENT)
    if found is None:
        return str(client.create_experiment(_EXPERIMENT))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _is_database(uri: str) -> bool:
    return uri.partition(":")[0].partition("+")[0] in ("mssql", "mysql", "postgresql", "sqlite")


def _mlflow_error() -> Any:
    from mlflow.exceptions import MlflowException

    return MlflowException


def _store(client: Any, logged: Any, folder: Path, *, is_here: bool) -> None:
    place = urlsplit(logged.artifact_location)
    if not is_here or place.scheme not in ("", "file"):
        client.log_model_artifacts(logged.model_id, str(folder))
        return
    target = Path(unquote(place.path))
    target.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        target.rmdir()  # MLflow may have made it; it is empty
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copytree(folder, target)


def _version(client: Any, uri: str, logged: Any, *, name: str, tags: dict[str, str], comment: str | None) -> Any:
    with suppress(_mlflow_error()):  # there is one, which is as well; what is wrong is told by what follows
        client.create_registered_model(name)
    # a database is told no id: MLflow would look for it where the process's own tracking address leads
    model_id = None if _is_database(uri) else logged.model_id
    made = client.create_model_version(
        name, source=logged.artifact_location, tags=tags, description=comment, model_id=model_id
    )
    try:
        _settle(client, name, made, tags.get(VERSION_NAME_TAG))
        return client.get_model_version(name, made.version)
    except BaseException:
        client.delete_model_version(name, made.version)
        raise


def _settle(client: Any, name: str, made: Any, version_name: str | None) -> None:
    """Refuse a version whose name another one got just before; make the model's first version its default."""
    there = versions_of(client, name)
    same = [int(other.version) for other in there if (other.tags or {}).get(VERSION_NAME_TAG) == version_name]
    if version_name is not None and min(same, default=int(made.version)) < int(made.version):
        raise _taken(name, version_name)
    if all(int(other.version) >= int(made.version) for other in there):
        client.set_registered_model_alias(name, DEFAULT_ALIAS, made.version)


def _discard(client: Any, logged: Any, *, is_here: bool) -> None:
    """Remove the record and the files of a model that was not registered, as far as that can be done from here."""
    place = urlsplit(logged.artifact_location)
    if is_here and place.scheme in ("", "file"):
        shutil.rmtree(Path(unquote(place.path)).parent, ignore_errors=True)
    with suppress(_mlflow_error()):
        client.delete_logged_model(logged.model_id)


def forget(uri: str, versions: list[Any]) -> None:
    """Mark MLflow's records of the files of versions that are deleted; `mlflow gc` then frees their room."""
    client = client_of(uri)
    for version in versions:
        model_id = getattr(version, "model_id", None) or (version.tags or {}).get(LOGGED_TAG)
        if model_id:
            with suppress(GristmillError), calling(uri):
                client.delete_logged_model(model_id)
