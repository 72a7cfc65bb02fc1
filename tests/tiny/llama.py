"""A tiny Llama for chat, one without a chat template, and LoRA adapters for them."""

import json
from pathlib import Path

from tests.tiny.tokens import chat_template, make_tokenizer, token_ids
from tests.tiny.weights import DECODER, random_model, save_weights

__all__ = ["make_adapter", "make_base", "make_llama"]

HEAD = 64
RANK = 8


def make_llama(folder: Path) -> None:
    """A chat model with a context of 2,048 tokens."""
    _make(folder, template=chat_template())


def make_base(folder: Path) -> None:
    """The same weights, and no chat template."""
    _make(folder, template=None)


def make_adapter(folder: Path, *, seed: int) -> None:
    """A LoRA adapter in the format of peft, strong enough to change what the model says."""
    import torch

    random = torch.Generator().manual_seed(seed)
    wide = DECODER["hidden_size"]
    sizes = {
        "q_proj": (wide, DECODER["num_attention_heads"] * HEAD),
        "v_proj": (wide, DECODER["num_key_value_heads"] * HEAD),
    }
    tensors = {}
    for layer in range(DECODER["num_hidden_layers"]):
        for part, (inputs, outputs) in sizes.items():
            name = f"base_model.model.model.layers.{layer}.self_attn.{part}"
            tensors[f"{name}.lora_A.weight"] = torch.randn(RANK, inputs, generator=random) / 4
            tensors[f"{name}.lora_B.weight"] = torch.randn(outputs, RANK, generator=random) / 4
    save_weights(
        {name: tensor.to(torch.bfloat16) for name, tensor in tensors.items()}, folder, file="adapter_model.safetensors"
    )
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "llama",
        "r": RANK,
        "lora_alpha": 2 * RANK,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted(sizes),
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2))


def _make(folder: Path, *, template: str | None) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = make_tokenizer(template=template)
    config = LlamaConfig(**DECODER, head_dim=HEAD, **token_ids(tokenizer))
    random_model(LlamaForCausalLM, config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
