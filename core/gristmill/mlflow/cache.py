"""The files of registered models on this machine: fetched once, and found again by the digest of their content.

::

    <cache>/<key>.lock           held by the process that fetches
    <cache>/<key>.<random>.part  being fetched; left behind only by a process that was killed, and removed by the next
    <cache>/<key>/whole.json     what the entry is, and each file's size and time; an entry without it is none
    <cache>/<key>/model/         the model's folder

An entry appears whole, by a rename. One that has been changed since is fetched again.
"""

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gristmill.errors import GristmillError, ModelError
from gristmill.mlflow.lock import file_lock
from gristmill.settings import Settings

__all__ = ["ModelCache"]

_KEY = re.compile(r"[a-z0-9\-]{8,100}")
_WHOLE = "whole.json"
_MODEL = "model"
_KEPT_SECONDS = 30 * 24 * 3600.0
"""How long an entry is kept that nobody uses."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


class ModelCache:
    """A folder of models.

    Args:
        folder: where; it is created when the first model is fetched.

    Example:
        >>> import tempfile
        >>> cache = ModelCache(Path(tempfile.mkdtemp()))
        >>> folder = cache.fill("0d67733a", {}, lambda folder: (folder / "MLmodel").write_text("flavors: {}"))
        >>> cache.find("0d67733a") == folder
        True
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, settings: Settings) -> "ModelCache":
        """The cache that the settings name, else one in the user's cache folder."""
        if settings.model_cache is not None:
            return cls(Path(settings.model_cache).expanduser().absolute())
        caches = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        return cls(Path(caches) / "gristmill" / "models")

    def find(self, key: str) -> Path | None:
        """The model's folder, where it is here, whole and unchanged; it is then kept for a while longer."""
        entry = self._entry(key)
        whole = _read(entry / _WHOLE)
        if whole is None or not _are_as_written(entry / _MODEL, whole.get("files")):
            return None
        with contextlib.suppress(OSError):  # a cache that is only read serves as well
            os.utime(entry / _WHOLE)
        return entry / _MODEL

    def fill(self, key: str, about: Mapping[str, Any], fetch: Callable[[Path], object]) -> Path:
        """The model's folder; it is fetched where it is not here. Of several processes one fetches, the others wait.

        Args:
            key: what tells the content: small letters and digits.
            about: what to write down of it, for people.
            fetch: puts the files into an empty folder, and raises where they are not what they should be.

        Raises:
            ModelError: there is no room, or the folder may not be written; names it.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with file_lock(self.folder / f"{key}.lock", waits=lambda: _say(f"{self._waiting(about)}")):
                if (found := self.find(key)) is not None:
                    return found
                self._clear(key)
                self._forget_unused(key)
                return self._fetched(key, about, fetch)
        except GristmillError:  # some are errors of the system, too
            raise
        except OSError as error:
            raise self._failure(error, about) from error

    def _fetched(self, key: str, about: Mapping[str, Any], fetch: Callable[[Path], object]) -> Path:
        part = self.folder / f"{key}.{secrets.token_hex(4)}.part"
        try:
            (part / _MODEL).mkdir(mode=0o700, parents=True)
            fetch(part / _MODEL)
            _sync(part / _MODEL)
            text = json.dumps({**about, "fetched": time.time(), "files": _listed(part / _MODEL)}, indent=1)
            (part / _WHOLE).write_text(text, encoding="utf-8")
            _sync(part)
            part.rename(self._entry(key))
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        _sync_folder(self.folder)
        return self._entry(key) / _MODEL

    def _entry(self, key: str) -> Path:
        assert _KEY.fullmatch(key), key
        return self.folder / key

    def _clear(self, key: str) -> None:
        """Remove what a killed process has left, and an entry that is damaged."""
        for left in [*self.folder.glob(f"{key}.*.part"), self._entry(key)]:
            if left.exists():
                shutil.rmtree(left)

    def _forget_unused(self, key: str) -> None:
        """Remove the entries that nobody has used for long; whoever has files of them open keeps these."""
        for whole in self.folder.glob(f"*/{_WHOLE}"):
            with contextlib.suppress(OSError):
                if whole.parent.name == key or whole.stat().st_mtime > time.time() - _KEPT_SECONDS:
                    continue
                lock = self.folder / f"{whole.parent.name}.lock"
                with file_lock(lock, patient=False) as is_held:
                    if is_held:
                        whole.unlink()  # first: what is left of the entry is then none
                        shutil.rmtree(whole.parent)
                        lock.unlink()

    def _waiting(self, about: Mapping[str, Any]) -> str:
        return f"{about.get('model', 'a model')}: waiting for another process of this machine that fetches it"

    def _failure(self, error: OSError, about: Mapping[str, Any]) -> ModelError:
        what = f"model {about.get('model', '')!r}"
        if error.errno in _FULL:
            return ModelError(
                f"{what}: no room for its files in settings.model_cache {str(self.folder)!r} ({error}); free some "
                "(entries of it may be deleted), or set model_cache to a folder with more"
            )
        if error.errno in _FORBIDDEN:
            return ModelError(
                f"{what}: settings.model_cache {str(self.folder)!r} may not be written ({error}); "
                "set model_cache to a folder that may"
            )
        return ModelError(f"{what}: its files cannot be kept in settings.model_cache {str(self.folder)!r}: {error}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - a worker's log is what it prints


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _listed(folder: Path) -> dict[str, list[int]]:
    """Each file's size and time: enough to see that something was changed, without reading it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _look(path) for path in files}


def _look(path: Path) -> list[int]:
    info = path.stat()
    return [info.st_size, info.st_mtime_ns]


def _are_as_written(folder: Path, files: Any) -> bool:
    """Whether all files are there as they were fetched; others may stand beside them, such as compiled code."""
    try:
        return isinstance(files, dict) and all(_look(folder / name) == look for name, look in files.items())
    except OSError:
        return False


def _sync(folder: Path) -> None:
    """Have all files and folders below written to the disk, so that a machine that goes down leaves no half ones."""
    for path in folder.rglob("*"):
        if path.is_symlink():
            continue
        _sync_folder(path)
    _sync_folder(folder)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
