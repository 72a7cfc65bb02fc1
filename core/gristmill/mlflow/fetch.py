"""The files of a registered model on this machine: from the cache, or from its registry, and then checked."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gristmill.errors import GristmillError, ModelError, RegistryError
from gristmill.mlflow.address import trusted_address
from gristmill.mlflow.cache import ModelCache
from gristmill.mlflow.digest import folder_digest
from gristmill.mlflow.pin import Pinned, found_version, pin_of, pinned
from gristmill.mlflow.store import calling, client_of
from gristmill.models.registered import parse_registered
from gristmill.storage.storage import Storage

__all__ = ["fetched", "head_of"]

_MLMODEL = "MLmodel"
_PROGRESS = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"
_SMALL = 1024**2
_TELLING = (".json", ".jinja")


def fetched(reference: str, storage: Storage, *, registry: str | None = None, digest: str | None = None) -> str:
    """The folder of a registered model on this machine, whole and unchanged; for reading only.

    What is in the cache needs no registry where the digest is given. What is not is downloaded, by one process of this
    machine while others wait.

    Args:
        reference: such as `models:/name/3`.
        storage: its settings name the registry and the cache.
        registry: another registry's address.
        digest: what the reference was pinned to, see `Pinned.digest`; None pins it now.

    Raises:
        ModelError: there is no such model or version, its files are not those that were registered, or there is no room
            for them.
        AccessError: the settings do not trust the registry, or it refuses who asks.
        RegistryError: the registry does not answer, or the download fails.
    """
    settings = storage.settings
    if digest is None or parse_registered(reference).number is None:
        pin = pinned(reference, settings, registry=registry)
    else:
        pin = Pinned(str(parse_registered(reference)), digest, trusted_address(registry, settings))
    cache = ModelCache.of(settings)
    found = cache.find(pin.digest)
    if found is None:
        about = {"model": pin.reference, "registry": pin.registry}
        found = cache.fill(pin.digest, about, lambda folder: _download(pin, folder))
    return str(found)


def _download(pin: Pinned, folder: Path) -> None:
    repository = _repository(pin)
    with _reading(pin):
        repository.download_artifacts("", dst_path=str(folder))
    _check_there(folder, pin, repository)
    if pin.is_of_content:
        found = folder_digest(folder)
        if found != pin.digest:
            raise ModelError(
                f"model {pin.reference!r}: its files are not those that were registered (digest {found[:16]}…, not "
                f"{pin.digest[:16]}…): they were changed at {repository.artifact_uri}, or damaged on their way; "
                "log the model again if they were changed, else try again"
            )
        return
    with _reading(pin):
        sizes = dict(_listed(repository))
    wrong = [name for name, size in sizes.items() if size is not None and not _has_size(folder / name, size)]
    if wrong:
        raise RegistryError(f"model {pin.reference!r}: the file {wrong[0]} was damaged on its way; try again")


def _check_there(folder: Path, pin: Pinned, repository: Any) -> None:
    if not (folder / _MLMODEL).is_file():
        raise ModelError(
            f"model {pin.reference!r}: its files are not where the registry {pin.registry} says "
            f"({repository.artifact_uri}); they were deleted or moved: log the model again"
        )


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _listed(repository: Any, path: str = "") -> Iterator[tuple[str, int | None]]:
    for info in repository.list_artifacts(path):
        if info.is_dir:
            yield from _listed(repository, info.path)
        else:
            yield info.path, info.file_size


def _repository(pin: Pinned) -> Any:
    """MLflow's access to the files of the version, which must be the one that was pinned."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    wanted = parse_registered(pin.reference)
    version = found_version(pin.registry, wanted)
    if not pin.is_of_content:
        now = pin_of(version, pin.registry)
        if now.digest != pin.digest:
            raise ModelError(
                f"model {pin.reference!r} is not the version any more that this job began with: it was deleted, and "
                f"another was made under its number in {pin.registry}; run the job anew"
            )
    with calling(pin.registry, f"model {pin.reference!r}"):
        address = client_of(pin.registry).get_model_version_download_uri(wanted.name, str(wanted.number))
        return get_artifact_repository(address, tracking_uri=pin.registry, registry_uri=pin.registry)


@contextlib.contextmanager
def _reading(pin: Pinned) -> Iterator[None]:
    """Downloading without a progress bar; what goes wrong is told as our errors."""
    before = os.environ.get(_PROGRESS)
    os.environ[_PROGRESS] = "false"
    try:
        with calling(pin.registry, f"the files of model {pin.reference!r}"):
            yield
    except GristmillError as error:
        if "No space left on device" in str(error) or "Disk quota exceeded" in str(error):
            raise OSError(errno.ENOSPC, "No space left on device") from error  # the cache says where
        raise
    finally:
        if before is None:
            os.environ.pop(_PROGRESS, None)
        else:
            os.environ[_PROGRESS] = before


@contextlib.contextmanager
def head_of(pin: Pinned) -> Iterator[str]:
    """A folder with the small files that tell what a registered model is, without its weights; gone afterwards.

    That is the `MLmodel` file, and of a transformers model the configuration.

    Raises:
        ModelError, AccessError, RegistryError: as `fetched`.
    """
    repository = _repository(pin)
    with tempfile.TemporaryDirectory(prefix="gristmill-head-") as folder:
        with _reading(pin):
            files = list(repository.list_artifacts(""))
            folders = [info.path for info in files if info.is_dir and info.path == "checkpoint"]
            small = [info for path in folders for info in repository.list_artifacts(path) if _tells(info)]
            for info in [*(info for info in files if info.path == _MLMODEL), *small]:
                repository.download_artifacts(info.path, dst_path=folder)
        _check_there(Path(folder), pin, repository)
        yield folder


def _tells(info: Any) -> bool:
    return not info.is_dir and info.path.endswith(_TELLING) and (info.file_size or 0) <= _SMALL
