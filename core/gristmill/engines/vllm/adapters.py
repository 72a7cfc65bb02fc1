"""LoRA adapters: weights beside the model's own, picked for each row by `params["model"]`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gristmill.errors import ModelError, SpecError
from gristmill.storage.location import is_local
from gristmill.storage.storage import Storage

__all__ = ["adapter_folders", "adapter_places", "adapter_rank"]

_FIELD = "inference_engine_options.adapters"
_WEIGHTS = "adapter_model.safetensors"
_OTHER_WEIGHTS = ("adapter_model.bin", "adapter_model.pt")


def adapter_folders(given: Any, storage: Storage) -> dict[str, str]:
    """The folders of adapters by alias, seen to be adapters.

    Args:
        given: the engine option `adapters`: folders by alias; stages and relative paths are resolved.
        storage: resolves them.

    Raises:
        SpecError: it is no dict of text, or a folder is not on this machine's disks.
        ModelError: a folder holds no adapter, or one whose weights are not whole.
    """
    folders = adapter_places(given, storage)
    for alias, folder in folders.items():
        adapter_rank(folder, alias=alias)
        _check_weights(folder, alias=alias)
    return folders


def adapter_places(given: Any, storage: Storage) -> dict[str, str]:
    """As `adapter_folders`, for a machine that may not have the folders.

    Raises:
        SpecError: it is no dict of text, or a folder is not on a disk.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise SpecError(f"{_FIELD}: must be a dict of alias to folder (given: {type(given).__name__})")
    folders = {}
    for alias, place in given.items():
        if not isinstance(alias, str) or not alias.strip() or not isinstance(place, str):
            raise SpecError(f"{_FIELD}: must map an alias to a folder, both text (given: {alias!r}: {place!r})")
        location = storage.resolve(place, what=f"{_FIELD}.{alias}")
        if not is_local(location):
            raise SpecError(f"{_FIELD}.{alias}: {place!r} is not on a disk; vLLM reads folders: copy it to a local one")
        folders[alias] = location
    return folders


def adapter_rank(folder: str, *, alias: str) -> int:
    """The rank of an adapter.

    Raises:
        ModelError: the folder holds no adapter in PEFT's form.
    """
    path = Path(folder) / "adapter_config.json"
    try:
        rank = json.loads(path.read_text(encoding="utf-8"))["r"]
    except FileNotFoundError:
        raise ModelError(f"{_FIELD}.{alias}: there is no adapter_config.json in {folder!r}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{_FIELD}.{alias}: {str(path)!r} is no adapter's configuration: {error}") from error
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        raise ModelError(f"{_FIELD}.{alias}: {str(path)!r} has the rank {rank!r}, not a number of at least 1")
    return rank


def _check_weights(folder: str, *, alias: str) -> None:
    """Refuse weights that are missing or cut off; whether they fit the model is seen when it is loaded."""
    path = Path(folder) / _WEIGHTS
    if not path.is_file():
        if any((Path(folder) / name).is_file() for name in _OTHER_WEIGHTS):
            return
        raise ModelError(f"{_FIELD}.{alias}: there is no {_WEIGHTS} in {folder!r}")
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as weights:  # reads the header, and compares it with the file's size
            is_empty = not weights.keys()
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{_FIELD}.{alias}: {str(path)!r} is damaged: {error}") from error
    if is_empty:
        raise ModelError(f"{_FIELD}.{alias}: {str(path)!r} holds no weights")
