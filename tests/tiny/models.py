"""The tiny models by name, each made once for each version of what makes it, and kept in the user's cache."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

from tests.tiny.audio import make_qwen2_audio
from tests.tiny.bert import make_bert, make_bert_classifier
from tests.tiny.llama import make_adapter, make_base, make_llama
from tests.tiny.omni import make_omni
from tests.tiny.vision import make_idefics3

__all__ = ["MODELS", "make", "model_folder"]

MODELS: Mapping[str, Callable[[Path], None]] = MappingProxyType(
    {
        "llama": make_llama,  # chat, a context of 2,048 tokens
        "llama-adapter-a": lambda folder: make_adapter(folder, seed=1),  # LoRA, for llama
        "llama-adapter-b": lambda folder: make_adapter(folder, seed=2),
        "base": make_base,  # as llama, without a chat template
        "idefics3": make_idefics3,  # chat with images
        "qwen2_audio": make_qwen2_audio,  # chat with sounds
        "omni": make_omni,  # chat with images, sounds and films
        "bert": make_bert,  # embeddings of 128 numbers
        "bert_classifier": make_bert_classifier,  # three labels
    }
)


def model_folder(name: str) -> Path:
    """The folder of a model; all that are missing are made, in a process of their own (10 s, once)."""
    folder = _place(name)
    if not folder.exists():
        missing = [each for each in MODELS if not _place(each).exists()]
        command = [sys.executable, "-m", "tests.tiny", *sorted(missing, key=lambda each: each != name)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=Path(__file__).parents[2])
        if not folder.exists():
            raise RuntimeError(f"the tiny model {name} could not be made:\n{done.stderr[-4000:]}")
    return folder


def make(name: str) -> Path:
    """Make a model if it is not there; two processes that make the same one do each other no harm."""
    folder = _place(name)
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder.parent))
    try:
        MODELS[name](draft)
        draft.chmod(0o755)
        draft.rename(folder)
    except OSError:
        if not folder.exists():  # else another process was faster, and its is as good
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _place(name: str) -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "gristmill-tests" / f"tiny-{_edition()}" / name


@cache
def _edition() -> str:
    """What the models depend on, in short: how they are made, and by which versions."""
    made_by = [f"{name} {version(name)}" for name in ("safetensors", "tokenizers", "torch", "transformers")]
    told = hashlib.sha256(f"{sys.version_info[:2]} {made_by}".encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        told.update(file.read_bytes())
    return told.hexdigest()[:16]
