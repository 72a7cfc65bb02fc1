"""Telling from a model's files, without any library, whether it answers chats."""

import importlib.util
import json
from pathlib import Path

__all__ = ["answers_chats"]

_CHATS = ("ForCausalLM", "ForConditionalGeneration")


def answers_chats(target: str) -> bool:
    """Whether a model's files on this machine say that it answers chats: an architecture that generates, a template."""
    folder = Path(target)
    if not folder.is_dir():
        cached = _cached_config(target)
        if cached is None:
            return False
        folder = cached.parent
    try:
        architectures = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("architectures") or []
    except (OSError, ValueError):
        return False
    return any(str(name).endswith(_CHATS) for name in architectures) and _has_template(folder)


def _has_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    try:
        return "chat_template" in json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def _cached_config(name: str) -> Path | None:
    """The configuration of a model of the hub, where it has been downloaded before."""
    if importlib.util.find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "config.json")
    return Path(found) if isinstance(found, str) else None
