"""Random weights, the same each time, under the names that vLLM expects."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["DECODER", "random_model", "save_weights"]

DECODER = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
    "initializer_range": 0.1,
}
"""The sizes of the part that writes; the range is wide, so that each prompt has an answer of its own."""


def random_model(kind: Callable[[Any], Any], config: Any, *, seed: int = 0) -> Any:
    """A model with random weights in bfloat16; the process's own random numbers stay as they were."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind(config).to(torch.bfloat16)
    if getattr(model, "generation_config", None) is not None:
        model.generation_config.eos_token_id = config.get_text_config().eos_token_id
        model.generation_config.pad_token_id = config.get_text_config().pad_token_id
    return model


def save_weights(tensors: dict[str, Any], folder: Path, *, file: str = "model.safetensors") -> None:
    """Write tensors by name."""
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / file, metadata={"format": "pt"})
