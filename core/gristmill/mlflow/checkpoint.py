"""A transformers model that MLflow has stored, as one folder that transformers and vLLM can read.

MLflow puts the weights and each of the other components, such as the tokenizer, into folders of their own.
"""

import hashlib
import os
import secrets
import shutil
from pathlib import Path

from gristmill.errors import ModelError
from gristmill.mlflow.cache import ModelCache
from gristmill.mlflow.stored import StoredModel
from gristmill.settings import Settings

__all__ = ["checkpoint_folder", "generates_text"]

_LINKS = "checkpoints"
_GENERATING = frozenset({"image-text-to-text", "llm/v1/chat", "llm/v1/completions", "text-generation"})


def generates_text(stored: StoredModel) -> bool:
    """Whether MLflow's flavor says of a model that it generates text."""
    return stored.flavors.get("transformers", {}).get("task") in _GENERATING


def checkpoint_folder(stored: StoredModel, settings: Settings) -> str | None:
    """The folder, made of links in the cache; None where the model's folder holds no such weights.

    Raises:
        ModelError: it cannot be made.
    """
    if stored.form == "checkpoint":
        return stored.checkpoint
    flavor = stored.flavors.get("transformers", {})
    weights = Path(stored.folder) / str(flavor.get("model_binary", "model"))
    if "peft_adaptor" in flavor or not (weights / "config.json").is_file():
        return None
    parts = [weights, *sorted(path for path in (Path(stored.folder) / "components").glob("*") if path.is_dir())]
    links = {file.name: file for part in reversed(parts) for file in sorted(part.iterdir()) if file.is_file()}
    told = "\0".join(f"{name}\0{file}" for name, file in sorted(links.items()))
    target = ModelCache.of(settings).folder / _LINKS / hashlib.sha256(told.encode()).hexdigest()[:32]
    try:
        if not target.is_dir():
            _link(links, target)
    except OSError as error:
        raise ModelError(
            f"model folder {stored.folder!r}: its parts cannot be put together in {str(target.parent)!r} "
            f"(settings.model_cache): {error}"
        ) from error
    return str(target)


def _link(links: dict[str, Path], target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
    made.mkdir()
    try:
        for name, file in links.items():
            (made / name).symlink_to(file)
        os.rename(made, target)  # noqa: PTH104 - refuses a folder that another process has made meanwhile
    except OSError:
        shutil.rmtree(made, ignore_errors=True)
        if not target.is_dir():
            raise
