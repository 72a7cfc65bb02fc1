"""Telling from a model's files, before any of it is loaded, whether it answers chats."""

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["answers_chats", "generates"]

_CHATS = ("ForCausalLM", "ForConditionalGeneration")


def answers_chats(target: str) -> bool:
    """Whether a model answers chats: its architecture generates, and it has a chat template.

    Args:
        target: a folder, or the name of a model of the hub, whose small files are fetched if they are not here yet.
    """
    if not generates(target):
        return False
    has_file = any(_file(target, name) is not None for name in ("chat_template.jinja", "chat_template.json"))
    return has_file or "chat_template" in _read(target, "tokenizer_config.json")


def generates(target: str) -> bool | None:
    """Whether a model's architecture generates texts; None where its configuration cannot be read from here.

    Args:
        target: as for `answers_chats`.
    """
    config = _read(target, "config.json")
    if not config:
        return None
    return any(str(name).endswith(_CHATS) for name in config.get("architectures") or [])


def _read(target: str, name: str) -> dict[str, Any]:
    path = _file(target, name)
    try:
        found = None if path is None else json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@cache
def _file(target: str, name: str) -> Path | None:
    """A file of a model; None where there is none, or the hub cannot be asked."""
    if Path(target).is_dir():
        path = Path(target) / name
        return path if path.is_file() else None
    if target.startswith(("/", ".")) or importlib.util.find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(target, name))
    except Exception:  # noqa: BLE001 - whatever the hub raises: it cannot be told then, and loading will say why
        return None
